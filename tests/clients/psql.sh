#!/usr/bin/env bash
# What people do with psql, against a server of its own: $ASOFDB is the binary. Ends at the first
# check that does not hold.
set -euo pipefail

: "${ASOFDB:?the asofdb binary to test}"
folder=$(mktemp -d)
server=
checks=0

cleanup() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT

ok() {
    checks=$((checks + 1))
    echo "ok $checks $1"
}

fail() {
    echo "not ok: $1" >&2
    [ $# -lt 2 ] || printf '%s\n' "$2" >&2
    tail -n 20 "$folder/log" >&2
    exit 1
}

# connect DATABASE ARGUMENT…
connect() {
    local database=$1
    shift
    timeout 20 psql -X -v ON_ERROR_STOP=1 -v VERBOSITY=verbose \
        "host=127.0.0.1 port=$port user=ann dbname=$database" "$@" 2>&1
}

# is WHAT WANTED GOT
is() {
    [ "$3" = "$2" ] || fail "$1" "wanted: $2
got:    $3"
    ok "$1"
}

# shows WHAT OUTPUT PATTERN…: every extended regular expression matches a line
shows() {
    local what=$1 output=$2 pattern
    shift 2
    for pattern in "$@"; do
        grep -Eq -- "$pattern" <<<"$output" || fail "$what: nothing like /$pattern/" "$output"
    done
    ok "$what"
}

# refused WHAT EXIT DATABASE COMMAND PATTERN…: psql ends with this code and says all of it
refused() {
    local what=$1 wanted=$2 database=$3 command=$4 output code=0
    shift 4
    output=$(connect "$database" -c "$command") || code=$?
    [ "$code" = "$wanted" ] || fail "$what: exit code $code" "$output"
    shows "$what" "$output" "$@"
}

"$ASOFDB" serve --data "$folder/data" --listen 127.0.0.1:0 >"$folder/listening" 2>"$folder/log" &
server=$!
port=
for _ in $(seq 100); do
    port=$(sed -nE 's/.*listening on .*:([0-9]+)$/\1/p' "$folder/listening")
    [ -z "$port" ] || break
    kill -0 "$server" 2>/dev/null || fail "the server went away"
    sleep 0.1
done
[ -n "$port" ] || fail "the server does not say where it listens"

# Commits 1 to 3: the empty database, the table, its rows.
connect main -c "CREATE TABLE t (id bigint PRIMARY KEY, name text, amount numeric(10,2) NOT NULL)" \
    >"$folder/out" || fail "CREATE TABLE" "$(cat "$folder/out")"
made=$(connect main -c "INSERT INTO t VALUES (1, 'one', 1.5), (2, NULL, 2.25)")
is "INSERT tells how many rows" "INSERT 0 2" "$made"

shows '\d lists the table' "$(connect main -c '\d')" '^ public \| t +\| table \| ann'
shows '\d t shows columns and the key' "$(connect main -c '\d t')" \
    'Table "public\.t"' '^ id +\| bigint +\|.*not null' '^ name +\| text +\| +\| +\|' \
    '^ amount +\| numeric\(10,2\) +\|.*not null' '"t_pkey" PRIMARY KEY, btree \(id\)'
shows '\dt lists the table' "$(connect main -c '\dt')" '^ public \| t +\| table \| ann'
shows '\l lists the database' "$(connect main -c '\l')" '^ main +\| ann +\| UTF8'
shows '\conninfo' "$(connect main -c '\conninfo')" "database \"main\" as user \"ann\".*port \"$port\""

is "several statements in one -c" $'1\n2\n3' "$(connect main -Atc 'SELECT 1; SELECT 2; SELECT 3')"

shows "a syntax error has a caret under the word" "$(connect main -c 'SELECT 1 frm frm x' || true)" \
    'ERROR:  42601: ' '^LINE 1: SELECT 1 frm frm x$' '^ {21}\^$'
refused "an unknown column" 1 main "SELECT nope FROM t" 'ERROR:  42703: column "nope" does not exist'
refused "an unknown table" 1 main "SELECT 1 FROM nope" 'ERROR:  42P01: relation "nope" does not exist'
refused "a key that exists" 1 main "INSERT INTO t VALUES (1, 'x', 1)" \
    'ERROR:  23505: .*"t_pkey"' 'DETAIL:  Key \(id\)=\(1\) already exists'
refused "a NULL where none may be" 1 main "INSERT INTO t VALUES (3, 'x', NULL)" 'ERROR:  23502: '
is "refused statements change nothing" 2 "$(connect main -Atc 'SELECT count(*) FROM t')"

is "ROLLBACK takes back" $'3\n2' \
    "$(connect main -Atq -c "BEGIN; INSERT INTO t VALUES (3, 'x', 3); SELECT count(*) FROM t; ROLLBACK; SELECT count(*) FROM t")"

connect main -qc "CREATE TAG first" >"$folder/out" || fail "CREATE TAG" "$(cat "$folder/out")"
connect main -qc "CREATE BRANCH audit" >"$folder/out" || fail "CREATE BRANCH" "$(cat "$folder/out")"
connect main@audit -qc "INSERT INTO t VALUES (9, 'on a branch', 9)" >"$folder/out" ||
    fail "INSERT on a branch" "$(cat "$folder/out")"
is "main@branch sees what it wrote" 3 "$(connect main@audit -Atc 'SELECT count(*) FROM t')"
is "main does not" 2 "$(connect main -Atc 'SELECT count(*) FROM t')"
shows 'main@branch has \d' "$(connect main@audit -c '\d t')" '"t_pkey" PRIMARY KEY'

printf 'id,name,amount\n3,"a, ""quoted"" name",3.00\n4,,4.25\n5,"",5.00\n' >"$folder/in.csv"
is '\copy in' "COPY 3" "$(connect main -c "\\copy t FROM '$folder/in.csv' WITH (FORMAT csv, HEADER)")"
is '\copy out' "COPY 3" \
    "$(connect main -c "\\copy (SELECT * FROM t WHERE id >= 3 ORDER BY id) TO '$folder/out.csv' WITH (FORMAT csv, HEADER)")"
cmp "$folder/in.csv" "$folder/out.csv" || fail "the file went round" "$(cat "$folder/out.csv")"
ok '\copy out gives what \copy in took'

is "main@v3 is the database as it was" $'1\n2' "$(connect main@v3 -Atc 'SELECT id FROM t ORDER BY id')"
is "main@v2 has the table and no rows" 0 "$(connect main@v2 -Atc 'SELECT count(*) FROM t')"
is "main@tag is the database as it was" $'1\n2' "$(connect main@first -Atc 'SELECT id FROM t ORDER BY id')"
refused "a tag cannot be written" 1 main@first "DELETE FROM t" 'ERROR:  25006: '
refused "a commit cannot be written" 1 main@v2 "DELETE FROM t" 'ERROR:  25006: ' 'HINT:  write on a branch'

refused "an unknown database" 2 nope "SELECT 1" 'FATAL:  .*"nope" does not exist' 'HINT:  connect to main'
refused "an unknown branch" 2 main@nope "SELECT 1" 'FATAL:  .*"nope"' 'HINT:  .*SHOW BRANCHES'
refused "a commit that is not there yet" 2 main@v9999 "SELECT 1" 'FATAL:  commit 9999 does not exist' \
    'HINT:  the nearest commit is [0-9]+'

# Interrupts psql in the middle of a statement that would take minutes.
interrupted() {
    local what=$1 code=0 began=$SECONDS psql
    # Without job control bash starts children that ignore SIGINT: psql sets a handler of its own.
    psql -X -v VERBOSITY=verbose "host=127.0.0.1 port=$port user=ann dbname=main" -c "$2" \
        >"$folder/cancelled" 2>&1 &
    psql=$!
    sleep 1
    kill -INT "$psql"
    for _ in $(seq 50); do
        kill -0 "$psql" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$psql" 2>/dev/null && fail "$what: still running $((SECONDS - began)) s after it began"
    wait "$psql" || code=$?
    [ "$code" = 1 ] || fail "$what: exit code $code" "$(cat "$folder/cancelled")"
    shows "$what" "$(cat "$folder/cancelled")" 'ERROR:  57014: canceling statement due to user request'
}
interrupted "SIGINT cancels a query that computes" "SELECT count(*) FROM generate_series(1, 20000000000)"
interrupted "SIGINT cancels a query that sleeps" "SELECT pg_sleep(60)"
is "the server answers after it" 5 "$(connect main -Atc 'SELECT count(*) FROM t')"

kill -TERM "$server"
code=0
wait "$server" || code=$?
server=
is "SIGTERM ends the server with code 0" 0 "$code"

checked=$(timeout 60 "$ASOFDB" check --data "$folder/data" 2>&1) || fail "asofdb check" "$checked"
ok "asofdb check finds the folder sound"

echo "psql: $checks checks hold"
