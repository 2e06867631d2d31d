#!/bin/sh
# Makes the secrets that a stack needs and keeps them in .env, readable by its owner alone. One that is set there is left as it is.
set -eu
umask 077
touch .env
chmod go-rwx .env
for name in SECRET_KEY POSTGRES_PASSWORD; do
    if grep -q "^$name=." .env; then
        echo ".env has a $name already; it stays."
        continue
    fi
    # Somebody's last line may end without a line break.
    if [ -n "$(tail -c 1 .env)" ]; then
        echo >>.env
    fi
    echo "$name=$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')" >>.env
    echo ".env has a new $name."
done
