-- A Prosody for people with real clients: everything a current public server has on, its own upload component signing
-- slots for an external server. Rendered twice, with the component and without.
pidfile = "{{.Dir}}/prosody.pid"
data_path = "{{.Dir}}/data"
log = { { levels = { min = "debug" }, to = "file", filename = "{{.Dir}}/prosody.log" } }
plugin_paths = { "/usr/lib/prosody/modules" }
run_as_root = true
daemonize = false
modules_enabled = {
  "roster", "saslauth", "tls", "disco", "carbons", "pep", "private", "blocklist", "vcard4", "vcard_legacy", "ping",
  "mam", "smacks", "time", "version", "csi_simple", "posix", "admin_shell",
}
modules_disabled = { "s2s" }
interfaces = { "{{.IP}}" }
local_interfaces = { "{{.IP}}" }
c2s_ports = { 5222 }
http_ports = { }
https_ports = { }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
admin_socket = "{{.Dir}}/prosody.sock"
ssl = { certificate = "{{.Cert}}"; key = "{{.Key}}" }

VirtualHost "{{.Domain}}"

{{if .Component}}
Component "{{.Upload}}" "http_file_share"
  http_file_share_base_url = "{{.URL}}"
  http_file_share_secret = "{{.Secret}}"
  http_file_share_size_limit = 104857600
{{end}}
