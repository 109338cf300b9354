#!/bin/sh
# Bills from a downstream queue into PostgreSQL, with amqp-tools and psql: AMQP_URL, QUEUE, DATABASE say where.
# amqp-consume runs this script again for each message, which it is given as input, and acks it where that ends with 0.
# Else it would neither ack it nor give it back, and stand still after 32 of them: so a failure ends it, and all it had
# goes back to the queue. Something has to start it again, such as systemd with Restart=always.
set -eu
if [ "${1:-}" != take ]; then
    exec amqp-consume --url="$AMQP_URL" --queue="$QUEUE" --prefetch-count=32 "$0" take
fi
# The key of money is (callid, record_id); of two tellings the one of the higher revision counts, whatever came first.
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --dbname="$DATABASE" --file=/dev/fd/3 3<<'SQL' || kill "$PPID"
\set told `cat`
WITH told AS (SELECT :'told'::jsonb AS j),
     event AS (SELECT jsonb_array_elements(CASE jsonb_typeof(j) WHEN 'array' THEN j ELSE jsonb_build_array(j) END) AS e FROM told),
     cdr AS (SELECT e, jsonb_array_elements(e #> '{data,call,cdrs}') AS c FROM event WHERE e #> '{data,call,cdrs}' IS NOT NULL)
INSERT INTO cdrs
SELECT DISTINCT ON (e ->> 'callid', c ->> 'record_id')
       e ->> 'callid', c ->> 'record_id', (e ->> 'revision')::int, c ->> 'outcome',
       (c ->> 'talk_seconds')::float, (c ->> 'billed_minutes')::float
FROM cdr ORDER BY e ->> 'callid', c ->> 'record_id', (e ->> 'revision')::int DESC
ON CONFLICT (callid, record_id) DO UPDATE SET revision = excluded.revision, outcome = excluded.outcome,
    talk_seconds = excluded.talk_seconds, billed_minutes = excluded.billed_minutes
WHERE excluded.revision > cdrs.revision;
SQL
