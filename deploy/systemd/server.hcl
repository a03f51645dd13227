# /etc/yurt/server.hcl: one of three servers. Only name and addresses differ between them.
name      = "server1"
data_dir  = "/var/lib/yurt"
bind_addr = "10.0.0.1"

server {
  enabled          = true
  bootstrap_expect = 3

  server_join {
    retry_join = ["10.0.0.1:4647", "10.0.0.2:4647", "10.0.0.3:4647"]
  }
}
