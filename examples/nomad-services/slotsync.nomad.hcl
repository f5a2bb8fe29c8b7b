# nomad job run slotsync.nomad.hcl, in the folder that holds haproxy.cfg and slotsync.yaml.
job "edge" {
  datacenters = ["dc1"]
  type        = "service"

  group "edge" {
    count = 1

    # The next allocation on this client starts from what this one knew.
    ephemeral_disk {
      sticky  = true
      migrate = true
      size    = 300
    }

    network {
      port "http" {
        static = 8080
      }
    }

    task "haproxy" {
      driver = "exec"

      config {
        command = "/usr/sbin/haproxy"
        args    = ["-W", "-db", "-f", "/local/haproxy.cfg"]
      }

      template {
        data          = file("haproxy.cfg")
        destination   = "local/haproxy.cfg"
        change_mode   = "signal"
        change_signal = "SIGUSR2" # a reload
      }

      resources {
        cpu    = 500
        memory = 256
      }
    }

    task "slotsync" {
      driver = "exec"

      # Starts after HAProxy and lives as long; its restarts leave every slot as it is.
      lifecycle {
        hook    = "poststart"
        sidecar = true
      }

      # The task's own token, in /secrets/nomad_token: it may read services.
      identity {
        file = true
      }

      config {
        command = "/usr/local/bin/slotsync"
        args    = ["run", "--config", "/local/slotsync.yaml"]
      }

      template {
        data          = file("slotsync.yaml")
        destination   = "local/slotsync.yaml"
        change_mode   = "signal"
        change_signal = "SIGHUP" # a bad file is refused whole and the old one stays
      }

      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
