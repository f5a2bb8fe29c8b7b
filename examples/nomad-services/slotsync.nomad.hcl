# nomad var put nomad/jobs/edge haproxy=@haproxy.cfg slotsync=@slotsync.yaml; nomad job run slotsync.nomad.hcl
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
      port "slotsync" {} # two allocations on one client need two
    }

    task "haproxy" {
      driver = "exec"

      config {
        command = "/usr/sbin/haproxy"
        args    = ["-W", "-db", "-f", "/local/haproxy.cfg"]
      }

      # Requests that run are finished; hard-stop-after in haproxy.cfg is shorter than kill_timeout.
      kill_signal  = "SIGUSR1"
      kill_timeout = "30s"

      template {
        data          = "{{ with nomadVar \"nomad/jobs/edge\" }}{{ .haproxy }}{{ end }}"
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

      # However often it exits, HAProxy is left alone: mode "fail" would stop the allocation.
      restart {
        attempts = 5
        interval = "1m"
        delay    = "5s"
        mode     = "delay"
      }

      # The task's own token, in /secrets/nomad_token: it may read services.
      identity {
        file = true
      }

      env {
        SLOTSYNC_HTTP_LISTEN = "127.0.0.1:${NOMAD_PORT_slotsync}"
      }

      config {
        command = "/usr/local/bin/slotsync"
        args    = ["run", "--config", "/local/slotsync.yaml"]
      }

      template {
        data          = "{{ with nomadVar \"nomad/jobs/edge\" }}{{ .slotsync }}{{ end }}"
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
