"""How long job files take to parse: `python -m tests.bench.hcl`. Target: 200 lines in less than 30 ms."""

from __future__ import annotations

import statistics
import time

from yurt.server.jobspec.parse import Inputs, parse_job

GROUP = """
  group "web-{n}" {{
    count = var.count + {n}
    network {{
      mode = "bridge"
      port "http" {{
        to = 8080
      }}
    }}
    service {{
      name = "web-{n}"
      port = "http"
      tags = concat(local.tags, ["web", upper("n{n}")])
      check {{
        type     = "http"
        path     = "/health"
        interval = "10s"
        timeout  = "2s"
      }}
    }}
    task "server" {{
      driver = "docker"
      config {{
        image = "example/web:${{var.version}}"
        ports = ["http"]
        args  = ["--name", "${{NOMAD_ALLOC_NAME}}", "--tags=${{join(",", local.tags)}}"]
      }}
      env {{
        LEVEL = "info"
        URL   = "http://${{NOMAD_IP_http}}:${{NOMAD_PORT_http}}/{n}"
      }}
      template {{
        destination = "local/app.conf"
        data        = <<-EOT
          name = web-{n}
          %{{ for tag in local.tags ~}}
          tag = ${{tag}}
          %{{ endfor ~}}
        EOT
      }}
      resources {{
        cpu    = 500
        memory = 256 * 2
      }}
    }}
  }}
"""
HEAD = """variable "count" {
  type    = number
  default = 2
}
variable "version" {
  default = "1.2.3"
}
locals {
  tags = [for one in ["a", "b", "c"] : "tag-${one}"]
}
job "bench" {
  datacenters = ["dc1"]
"""


def source(groups: int) -> str:
    """A job file of so many groups."""
    return HEAD + "".join(GROUP.format(n=n) for n in range(groups)) + "}\n"


def milliseconds(text: str, runs: int) -> list[float]:
    """How long each of some runs took."""
    found = []
    for _ in range(runs):
        started = time.perf_counter()
        parse_job(text, "input.hcl", Inputs(), canonical=True)
        found.append((time.perf_counter() - started) * 1000)
    return found


def main() -> None:
    """Print a row a size."""
    for groups, runs in ((1, 30), (4, 30), (40, 5), (200, 3)):
        text = source(groups)
        taken = milliseconds(text, runs)
        print(f"| {text.count(chr(10))} lines | median {statistics.median(taken):.1f} ms | best {min(taken):.1f} ms |")


if __name__ == "__main__":
    main()
