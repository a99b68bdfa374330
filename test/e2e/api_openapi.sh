#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The OpenAPI file and the server say the same.
exec python3 "$(dirname "$0")/api_openapi.py"
