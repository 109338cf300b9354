#!/bin/sh
# The official image makes its first user from these variables.
set -e
conf=/etc/rabbitmq/conf.d/10-defaults.conf
[ -z "$RABBITMQ_DEFAULT_USER" ] || printf 'default_user = %s\ndefault_pass = %s\n' "$RABBITMQ_DEFAULT_USER" "$RABBITMQ_DEFAULT_PASS" >"$conf"
[ -z "$RABBITMQ_DEFAULT_VHOST" ] || printf 'default_vhost = %s\n' "$RABBITMQ_DEFAULT_VHOST" >>"$conf"
exec "$@"
