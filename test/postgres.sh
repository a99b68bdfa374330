# SPDX-License-Identifier: Apache-2.0
# postgres.sh - PostgreSQL servers of a test's own, in a folder below $1, over Unix sockets alone, run by a user who is not root.
#	pg_up NAME [LINES]   make and start a server; LINES go to its postgresql.conf. Its URL: $(pg_url NAME [SCHEMA])
#	pg_replica NAME OF   a hot standby of it, streaming, by the name NAME in synchronous_standby_names; started
#	pg_start NAME, pg_stop NAME [MODE], pg_kill NAME (kill -9 of everything), pg_promote NAME, pg_sql NAME SQL
#	pg_pause NAME, pg_go NAME   as if its machine hung: connections stay, and nobody answers
#	pg_end               all of them are killed and their folders removed; call it at the end
# Set PG_DIR to a folder first (it is made). Debian's PostgreSQL, whichever version is there.
PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ -x "$PG_BIN/initdb" ] || { echo "1..0 # SKIP PostgreSQL is not installed: tools/deps.sh check"; exit 0; }
PG_USER=postgres
if [ "$(id -u)" = 0 ]; then
	id postgres >/dev/null 2>&1 || PG_USER=nobody
	pg_as() { setpriv --reuid "$PG_USER" --regid "$(id -g "$PG_USER")" --clear-groups env HOME="$PG_DIR" LC_ALL=C "$@"; }
else
	PG_USER=$(id -un)
	pg_as() { env LC_ALL=C "$@"; }
fi
mkdir -p "$PG_DIR" && chmod 755 "$PG_DIR"
pg_url() { echo "postgres://osier@/postgres?host=$PG_DIR/$1.sock&schema=${2:-osier}"; }
pg_make() { # NAME: the folders
	mkdir -p "$PG_DIR/$1" "$PG_DIR/$1.sock" && chmod 700 "$PG_DIR/$1" && chmod 755 "$PG_DIR/$1.sock"
	[ "$(id -u)" != 0 ] || chown "$PG_USER" "$PG_DIR/$1" "$PG_DIR/$1.sock"
}
pg_conf() { # NAME: small, quick to start, as durable as ever
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$PG_DIR/$1.sock'" 'shared_buffers = 16MB' \
		'max_connections = 40' 'max_wal_size = 256MB' 'autovacuum_naptime = 5s' 'log_min_messages = fatal' \
		"cluster_name = '$1'" 'wal_retrieve_retry_interval = 100ms' 'wal_receiver_status_interval = 1s' 'restart_after_crash = on'
}
pg_up() {
	pg_make "$1" && pg_as "$PG_BIN/initdb" -D "$PG_DIR/$1" -U osier -A trust -E UTF8 --no-locale --no-instructions -N \
		>"$PG_DIR/log.$1" 2>&1 || { cat "$PG_DIR/log.$1"; return 1; }
	{ pg_conf "$1"; printf '%s\n' "${2:-}"; } | pg_as tee -a "$PG_DIR/$1/postgresql.conf" >/dev/null
	pg_start "$1"
}
pg_start() {
	pg_as "$PG_BIN/pg_ctl" -D "$PG_DIR/$1" -l "$PG_DIR/$1/server.log" -s -w -t 60 start >>"$PG_DIR/log.$1" 2>&1 ||
		{ tail -n 5 "$PG_DIR/$1/server.log"; return 1; }
}
pg_stop() { pg_as "$PG_BIN/pg_ctl" -D "$PG_DIR/$1" -s -w -t 60 -m "${2:-fast}" stop; }
pg_kill() { # as if its machine lost power, less what the disk loses
	local top
	top=$(head -n 1 "$PG_DIR/$1/postmaster.pid" 2>/dev/null) || return 0
	# shellcheck disable=SC2046
	kill -9 "$top" $(cat /proc/"$top"/task/*/children 2>/dev/null) 2>/dev/null
	while kill -0 "$top" 2>/dev/null; do sleep 0.02; done
	rm -f "$PG_DIR/$1/postmaster.pid"
}
pg_all() { local p; p=$(head -1 "$PG_DIR/$1/postmaster.pid") && echo "$p" && pgrep -P "$p"; }
pg_pause() { kill -STOP $(pg_all "$1"); }
pg_go() { kill -CONT $(pg_all "$1"); }
pg_replica() {
	pg_make "$1"
	pg_as "$PG_BIN/pg_basebackup" -h "$PG_DIR/$2.sock" -U osier -D "$PG_DIR/$1" -R -X stream -c fast >"$PG_DIR/log.$1" 2>&1 ||
		{ cat "$PG_DIR/log.$1"; return 1; }
	# The last setting counts: what the first server was told of its standbys is not for this one.
	{ pg_conf "$1"; echo "synchronous_standby_names = ''"; } | pg_as tee -a "$PG_DIR/$1/postgresql.conf" >/dev/null
	echo "primary_conninfo = 'host=$PG_DIR/$2.sock user=osier application_name=$1'" |
		pg_as tee -a "$PG_DIR/$1/postgresql.auto.conf" >/dev/null
	pg_start "$1"
}
pg_promote() { pg_as "$PG_BIN/pg_ctl" -D "$PG_DIR/$1" -s -w -t 60 promote; }
pg_sql() { pg_as "$PG_BIN/psql" -X -q -A -t -h "$PG_DIR/$1.sock" -U osier -d postgres -c "$2"; }
pg_end() {
	local d
	for d in "$PG_DIR"/*/postmaster.pid; do
		[ -e "$d" ] && { d=${d%/postmaster.pid}; pg_kill "${d##*/}"; }
	done
	rm -rf "$PG_DIR"
}
