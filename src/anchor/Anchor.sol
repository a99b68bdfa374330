// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Heads of transparency logs, written down where nobody can take them back.
///
/// Each account has its own line of heads for each log (named by the SHA-256 of its origin), and a line only grows: a head that
/// is not larger than the last is refused. So whoever holds the key cannot show two heads of one size, nor go back to a smaller
/// one, without the refusal or the gap being there for all to see. There is no owner, no fee and nothing to upgrade.
///
/// How it is compiled: README.md beside this file. The bytes that osier deploys are in Anchor.hex.
contract Anchor {
    struct Head {
        uint64 size;
        uint64 time; // of the block, seconds since 1970
        bytes32 root;
    }

    /// The last head of (account, origin); all zero: none.
    mapping(address => mapping(bytes32 => Head)) public latest;

    /// The last head has this size, which is not less than the one offered.
    error NotNewer(uint64 size);

    event Anchored(address indexed by, bytes32 indexed origin, uint64 indexed size, bytes32 root);

    function anchor(bytes32 origin, uint64 size, bytes32 root) external {
        Head storage head = latest[msg.sender][origin];
        uint64 last = head.size;
        if (size <= last) revert NotNewer(last);
        head.size = size;
        head.time = uint64(block.timestamp);
        head.root = root;
        emit Anchored(msg.sender, origin, size, root);
    }
}
