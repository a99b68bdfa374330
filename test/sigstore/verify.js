// SPDX-License-Identifier: Apache-2.0
// verify.js MODULES ENVELOPE KEY.pem - does @sigstore/verify accept a DSSE envelope as signed with the key? It compares no artifact with the
// statement's subjects (its caller must), so what is printed is what it says about them: "SHA256  NAME" lines, the byproducts' first. Exit status 1: refused.
'use strict'
const fs = require('fs')
const path = require('path')
const { createPublicKey } = require('crypto')
const [modules, envelope, pem] = process.argv.slice(2)
const { bundleFromJSON } = require(path.join(modules, '@sigstore/bundle'))
const { Verifier, toSignedEntity } = require(path.join(modules, '@sigstore/verify'))

const trust = {
  certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [],
  publicKey: () => ({ publicKey: createPublicKey(fs.readFileSync(pem)), validFor: () => true })
}
try {
  const bundle = bundleFromJSON({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { publicKey: { hint: 'node' }, tlogEntries: [] },
    dsseEnvelope: JSON.parse(fs.readFileSync(envelope))
  })
  new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 }).verify(toSignedEntity(bundle))
  const statement = JSON.parse(bundle.content.dsseEnvelope.payload)
  for (const b of statement.predicate.runDetails.byproducts || []) console.log(`${b.digest.sha256}  ${b.name}`)
  for (const s of statement.subject) console.log(`${s.digest.sha256}  ${s.name}`)
} catch (e) {
  console.error(`refused: ${e.code || e.name}: ${e.message}`)
  process.exit(1)
}
