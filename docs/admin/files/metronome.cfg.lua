Component "upload.example.org" "http_upload_external"
  http_file_external_url = "https://upload.example.org/upload/"
  http_file_secret = "THE SECRET OF holdfast-server"
