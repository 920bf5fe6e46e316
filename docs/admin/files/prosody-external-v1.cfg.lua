Component "upload.example.org" "http_upload_external"
  http_upload_external_base_url = "https://upload.example.org/upload/"
  http_upload_external_secret = "THE SECRET OF holdfast-server"
  http_upload_external_file_size_limit = 500 * 1024 * 1024
