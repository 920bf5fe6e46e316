#!/bin/sh
# /etc/letsencrypt/renewal-hooks/deploy/holdfast-server: hands a renewed certificate to the server, which notices by itself.
set -eu
tls=/etc/holdfast/tls
install -d -m 0750 -o root -g holdfast "$tls"
for file in fullchain.pem privkey.pem; do
	install -m 0640 -o root -g holdfast "$RENEWED_LINEAGE/$file" "$tls/.$file.new"
done
for file in fullchain.pem privkey.pem; do
	mv -f "$tls/.$file.new" "$tls/$file"
done
