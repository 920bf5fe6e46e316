-- A Prosody on loopback that signs upload slots for an external server.
pidfile = "{{.Dir}}/prosody.pid"
data_path = "{{.Dir}}/data"
log = { { levels = { min = "info" }, to = "file", filename = "{{.Dir}}/prosody.log" } }
plugin_paths = { "/usr/lib/prosody/modules" }
run_as_root = true
daemonize = false
modules_enabled = { "roster", "saslauth", "tls", "disco", "posix" }
modules_disabled = { "s2s" }
interfaces = { "{{.IP}}" }
local_interfaces = { "{{.IP}}" }
c2s_ports = { {{.Port}} }
http_ports = { }
https_ports = { }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
ssl = { certificate = "{{.Cert}}"; key = "{{.Key}}" }

VirtualHost "v1.lab.test"
VirtualHost "v2.lab.test"
VirtualHost "share.lab.test"

{{if .Service}}{{.Service}}{{else}}Component "upload.v1.lab.test" "http_upload_external"
  http_upload_external_base_url = "{{.URL}}"
  http_upload_external_secret = "{{.Secret}}"
  http_upload_external_file_size_limit = 1073741824

Component "upload.v2.lab.test" "http_upload_external"
  http_upload_external_base_url = "{{.URL}}"
  http_upload_external_secret = "{{.Secret}}"
  http_upload_external_protocol = "v2"
  http_upload_external_file_size_limit = 1073741824

Component "upload.share.lab.test" "http_file_share"
  http_file_share_base_url = "{{.URL}}"
  http_file_share_secret = "{{.Secret}}"
  http_file_share_size_limit = 1073741824
  http_file_share_daily_quota = 10737418240
{{end}}