#!/bin/sh
# Starts the proxy of docker-compose.yml with what only its container knows.
set -eu

# The DNS server that knows the services: with Docker always 127.0.0.11, with podman another one in each network.
while read -r word server _; do
    [ "$word" = nameserver ] && break
done </etc/resolv.conf
echo "resolver $server valid=2s ipv6=off; resolver_timeout 2s;" >/tmp/resolver.conf

# How people reach the site, as its own setting tells: a proxy before this one ends TLS, or none does.
case "$(echo "${HTTPS:-0}" | tr '[:upper:]' '[:lower:]')" in
    1 | true | yes | on) scheme=https ;;
    *) scheme=http ;;
esac
echo "set \$site_scheme $scheme;" >/tmp/scheme.conf

exec nginx -e stderr -c "$(dirname "$0")/nginx.conf" -g "daemon off;"
