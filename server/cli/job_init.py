"""`yurt job init`: an example to start from."""

from __future__ import annotations

from pathlib import Path

import click

from yurt.server.cli.output import fail

SHORT = """job "example" {
  type = "batch"

  # A parameterized job waits: yurt job dispatch -meta who=me example
  parameterized {
    meta_optional = ["who"]
  }

  meta {
    owner = "you"
  }

  group "main" {
    task "hello" {
      driver = "raw_exec"

      config {
        command = "/bin/echo"
        args    = ["hello", "${NOMAD_META_who}"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
"""
COMMENTED = """# A job is what the cluster should run. Register it:   yurt job run example.nomad.hcl
# See before what would change:                         yurt job plan example.nomad.hcl
# Check it only:                                        yurt job validate example.nomad.hcl

# Values from outside: -var owner=them, -var-file FILE, or NOMAD_VAR_owner in the environment.
variable "owner" {
  type        = string
  default     = "you"
  description = "Who is to be asked about this job."
}

# Names for values that are used more than once; expressions may call functions.
locals {
  greeting = join(" ", ["hello", "from", "${node.unique.name}"])
}

job "example" {
  # "service" runs for ever, "batch" until it is done, "system" and "sysbatch" once on every node.
  type = "batch"

  # A parameterized job waits for:   yurt job dispatch -meta who=me example
  parameterized {
    payload       = "optional"
    meta_optional = ["who"]
  }

  meta {
    owner = var.owner
  }

  # A group's tasks are placed together on one node; `count` is how many of the group are wanted.
  group "main" {
    count = 1

    # What happens on the node when a task fails.
    restart {
      attempts = 2
      interval = "30m"
      delay    = "15s"
      mode     = "fail"
    }

    task "hello" {
      driver = "raw_exec"

      # What the driver needs. Names that the job file does not know are filled in where the task runs.
      config {
        command = "/bin/echo"
        args    = [local.greeting, "${NOMAD_META_who}"]
      }

      # MHz and megabytes.
      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
"""


@click.command()
@click.argument("path", metavar="[FILE]", default="example.nomad.hcl")
@click.option("--short", is_flag=True, help="Omit the comments.")
def init(path: str, short: bool) -> None:
    """Write an example job (HCL) to FILE, unless it exists."""
    target = Path(path)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(SHORT if short else COMMENTED)
    except FileExistsError:
        fail(f"Job file already exists: {target}")
    except OSError as error:
        fail(f"Error writing job file: {error.strerror}: {target}")
    click.echo(f"Example job file written to {target}")
