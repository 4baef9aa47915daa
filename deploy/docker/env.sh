#!/bin/sh
# Writes .env from .env.example, with a random password for each that is left open. Keeps a .env that is there.
set -eu
cd "$(dirname "$0")/../.."
umask 077
if [ -e .env ]; then
    echo ".env is there already and stays as it is" >&2
    exit 1
fi
while IFS= read -r line; do
    case $line in
        [A-Z]*_PASSWORD=) printf '%s%s\n' "$line" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" ;;
        *) printf '%s\n' "$line" ;;
    esac
done <.env.example >.env.new
mv .env.new .env
echo ".env has new passwords"
