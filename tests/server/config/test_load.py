"""The agent's configuration: files, directories, flags, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from yurt.fsm.structs.operator import PreemptionConfig, SchedulerConfiguration
from yurt.server.cli.agent import flags_of
from yurt.server.config.agent import AgentConfig, SchedulerDefaults, nanoseconds, size_bytes
from yurt.server.config.load import ConfigError, load

MINIMAL = """
name     = "s1"
data_dir = "/tmp/yurt"
ports { http = 1646  }
server {
  enabled          = true
  bootstrap_expect = 3
  server_join { retry_join = ["10.0.0.1:4647", "10.0.0.2"] }
}
"""
NO_FLAGS = dict.fromkeys(("bind", "dc", "node", "data_dir", "region", "log_level", "bootstrap_expect"))
NONE = {**NO_FLAGS, "log_json": False, "server_mode": False, "retry_join": (), "join": ()}


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_minimal_server_of_hcl(tmp_path: Path) -> None:
    config = load([write(tmp_path / "server.conf", MINIMAL)], {})
    assert (config.node_name, config.ports.http, config.ports.rpc, config.bind_addr) == ("s1", 1646, 4647, "127.0.0.1")
    assert config.join_addresses() == ["10.0.0.1:4647", "10.0.0.2:4647"]
    assert config.advertised("rpc") == "127.0.0.1:4647"


def test_json_is_known_by_its_content(tmp_path: Path) -> None:
    file = write(tmp_path / "config", '{"data_dir": "/x", "server": {"enabled": true}, "log_level": "WARN"}')
    assert load([file], {}).log_level == "WARN"


def test_directories_are_read_in_order_and_later_files_win(tmp_path: Path) -> None:
    write(tmp_path / "10.hcl", MINIMAL)
    write(tmp_path / "20.json", '{"name": "later", "server": {"server_join": {"retry_join": ["10.0.0.3:1"]}}}')
    write(tmp_path / "30.txt", "not read")
    config = load([str(tmp_path)], {"region": "eu"})
    assert (config.name, config.region, config.server.bootstrap_expect) == ("later", "eu", 3)
    assert config.join_addresses()[-1] == "10.0.0.3:1" and len(config.join_addresses()) == 3


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("zz = 1", "unknown key `zz`"),
        ("server { enabled = true\n bootstrap_expects = 1 }", "unknown key `bootstrap_expects`"),
        ("server { enabled = 1 }", "server.enabled"),
        ("data_dir = \"/x\"", "Must specify either server, client or dev mode for the agent."),
        ("server { enabled = true }", 'Must specify "data_dir" config option'),
        ('data_dir = "x"\nserver { enabled = true }', "data-dir must be given as an absolute path: got x"),
        ('data_dir = "/x"\nregion = "a b"\nserver { enabled = true }', "Region contains invalid characters"),
        ('data_dir = "/x"\nserver {\nenabled = true\nraft_multiplier = 11\n}', "Must be between 1 and 10"),
        ('data_dir = "/x"\nlimits { http_json_depth_max = 0 }\nserver { enabled = true }', "Must be between 1 and 128"),
        (
            'data_dir = "/x"\nlimits { http_json_depth_max = 129 }\nserver { enabled = true }',
            "http_json_depth_max cannot be 129. Must be between 1 and 128",
        ),
        ('data_dir = "/x"\nlimits { http_max_conns = -1 }\nserver { enabled = true }', "http_max_conns cannot be -1. Must be 0"),
        ('data_dir = "/x"\nlimits { http_head_bytes_max = 0 }\nserver { enabled = true }', "cannot be 0. Must be 1 or more"),
        ('data_dir = "/x"\nlimits { http_rate_limit = -0.5 }\nserver { enabled = true }', "http_rate_limit cannot be -0.5"),
        ('data_dir = "/x"\nlog_level = "LOUD"\nserver { enabled = true }', "Invalid log level: LOUD"),
        ('data_dir = "/x"\nlog_rotate_bytes = -1\nserver { enabled = true }', "cannot be negative"),
        ('data_dir = "/x"\nlog_rotate_duration = "soon"\nserver { enabled = true }', "Invalid log_rotate_duration"),
        ('server { default_scheduler_config { scheduler_algorithm = "best" } }', "Invalid enum value 'best'"),
        ("server { default_scheduler_config { algorithm = 1 } }", "unknown key `algorithm`"),
        ("server {", "Unclosed configuration block"),
    ],
)  # fmt: skip
def test_what_cannot_start_is_refused(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load([write(tmp_path / "bad.hcl", text)], {})
    assert wanted in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.hcl: No such file"):
        load([str(tmp_path / "nothing.hcl")], {})


def test_dev_wins_over_files(tmp_path: Path) -> None:
    config = load([write(tmp_path / "a.hcl", MINIMAL)], flags_of(True, NONE))
    assert config.dev and config.server.bootstrap_expect == 1 and config.telemetry.prometheus_metrics
    assert config.ports.http == 1646
    assert load([], flags_of(True, NONE)).data_dir == ""


def test_durations_and_sizes() -> None:
    assert nanoseconds("1m30s") == 90_000_000_000 == nanoseconds(90_000_000_000)
    assert [size_bytes(text) for text in ("1M", "16", "2k", "1G")] == [1_000_000, 16, 2000, 10**9]
    assert AgentConfig().limits.http_max_conns_per_client == 100


def test_the_scheduler_configuration_that_a_cluster_begins_with(tmp_path: Path) -> None:
    text = """
    data_dir = "/x"
    server {
      enabled = true
      default_scheduler_config {
        scheduler_algorithm             = "spread"
        memory_oversubscription_enabled = true
        preemption_config { sysbatch_scheduler_enabled = true }
      }
    }
    """
    record = load([write(tmp_path / "a.hcl", text)], {}).server.default_scheduler_config.record()
    assert (record.scheduler_algorithm, record.memory_oversubscription_enabled) == ("spread", True)
    preemption = record.preemption_config
    assert preemption.system_scheduler_enabled and preemption.sys_batch_scheduler_enabled
    assert not preemption.batch_scheduler_enabled
    assert SchedulerDefaults().record() == SchedulerConfiguration(
        preemption_config=PreemptionConfig(system_scheduler_enabled=True)
    )
