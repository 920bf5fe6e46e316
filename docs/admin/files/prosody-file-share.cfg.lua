Component "upload.example.org" "http_file_share"
  http_file_share_base_url = "https://upload.example.org/upload/"
  http_file_share_secret = "THE SECRET OF holdfast-server"
  http_file_share_size_limit = 500 * 1024 * 1024
  http_file_share_daily_quota = 5000 * 1024 * 1024
