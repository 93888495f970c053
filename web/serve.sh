#!/usr/bin/env bash
# Serves web/dist on this computer only: web/serve.sh [PORT]. The default port is 8000.
exec python3 "$(dirname "$0")/serve.py" "$@"
