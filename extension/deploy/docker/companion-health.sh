#!/bin/bash
# Whether the companion of this container answers. The image has no HTTP client but this.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/${1:-9187}"
printf 'GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' >&3
read -r -t 4 _ status _ <&3
[ "$status" = 200 ]
