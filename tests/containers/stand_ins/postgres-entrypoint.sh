#!/bin/sh
# The official image makes user and database from these variables, where the volume is empty.
set -e
user="${POSTGRES_USER:-postgres}"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf %s "${POSTGRES_PASSWORD:?}" >/tmp/password
    initdb -U "$user" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust >/dev/null
    rm /tmp/password
    printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    pg_ctl -w -o '-c listen_addresses=' start >/dev/null
    [ "${POSTGRES_DB:-$user}" = postgres ] || psql -q -U "$user" -d postgres -c "create database \"${POSTGRES_DB:-$user}\""
    pg_ctl -w stop >/dev/null
fi
exec "$@"
