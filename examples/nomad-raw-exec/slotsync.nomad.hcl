# nomad job run slotsync.nomad.hcl: slotsync on each client that has an HAProxy of its own, which Nomad knows nothing of.
job "slotsync" {
  datacenters = ["dc1"]
  type        = "system"

  constraint {
    attribute = "${meta.haproxy}" # client { meta { haproxy = "yes" } }
    value     = "yes"
  }

  group "slotsync" {
    # A system job is not rescheduled: it has to start again where it is.
    restart {
      attempts = 5
      interval = "1m"
      delay    = "5s"
      mode     = "delay"
    }

    task "slotsync" {
      driver = "raw_exec"

      consul {} # with ACLs: CONSUL_HTTP_TOKEN by the task's identity

      config {
        command = "/usr/local/bin/slotsync"
        args    = ["run", "--config", "local/slotsync.yaml"]
      }

      template {
        data          = "{{ key \"edge/slotsync.yaml\" }}"
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
