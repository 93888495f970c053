#!/usr/bin/env bash
# Serves web/dist on this computer alone: web/serve.sh [PORT], 8000 if nothing is said.
exec python3 "$(dirname "$0")/serve.py" "$@"
