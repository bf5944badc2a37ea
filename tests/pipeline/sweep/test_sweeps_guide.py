"""docs/sweeps.md: its commands are searches that exist, its YAML says what the program and Ray do."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.options import all_options
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep import request, sweep_yaml
from pipeline.sweep.settings import Settings

TEXT = (PROJECT / "docs/sweeps.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
SEARCH, CLUSTER, RAY_CLUSTER, RAY_JOB = BLOCKS
COMMANDS = re.findall(r"pipeline\.sweep ((?:[\w.]+=[^\s'`]+ ?)+)", TEXT)
ENTRYPOINT = RAY_JOB["spec"]["entrypoint"]


def request_of(arguments: list[str]) -> Any:
    return request.read(arguments, None)


@pytest.mark.parametrize("arguments", sorted({command.strip() for command in COMMANDS}))
def test_every_command_is_a_search_that_exists(arguments: str) -> None:
    assert request_of(shlex.split(arguments)).num_trials > 1


def test_the_searches_listed_are_those_that_there_are() -> None:
    listed = re.findall(r"^\| `(\w+)` \| ", TEXT, re.MULTILINE)
    assert sorted(listed) == sorted(file.stem for file in (PROJECT / "conf/sweep").glob("*.yaml"))


def test_the_example_of_a_search_can_be_run(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(SEARCH))
    asked = request_of([f"sweep={tmp_path}/mine.yaml"])
    assert asked.num_trials == SEARCH["num_trials"]
    assert set(asked.space) == set(SEARCH["space"])


def test_options_of_sweeps_in_the_text_exist() -> None:
    named = set(re.findall(r"`(sweep\.[a-z_]+)(?:=[^`]*)?`", TEXT))
    assert {"sweep.scheduler", "sweep.gpus", "sweep.folder"} <= named
    assert named - set(all_options(Settings)) == {sweep_yaml.FILE}


def test_the_cluster_file_is_one_that_ray_takes() -> None:
    ray = pytest.importorskip("ray.autoscaler")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(ray.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(CLUSTER, schema)
    assert CLUSTER["max_workers"] == len(CLUSTER["provider"]["worker_ips"])


@pytest.mark.parametrize(
    "cluster", [RAY_CLUSTER["spec"], RAY_JOB["spec"]["rayClusterSpec"]], ids=["cluster", "job"]
)
def test_pods_have_the_gpus_that_ray_is_told_of_and_share_the_folder(cluster: dict[str, Any]) -> None:
    (group,) = cluster["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert group["rayStartParams"]["num-gpus"] == str(container["resources"]["limits"]["nvidia.com/gpu"])
    assert cluster["headGroupSpec"]["rayStartParams"]["num-gpus"] == "0"
    for pod in (cluster["headGroupSpec"]["template"]["spec"], group["template"]["spec"]):
        (container,) = pod["containers"]
        assert "/gram/sweeps" in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == {
            volume["name"] for volume in pod["volumes"]
        }
        assert "MLFLOW_TRACKING_URI" in {variable["name"] for variable in container["env"]}


def test_the_job_goes_on_with_the_sweep_that_it_began(tmp_path: Path) -> None:
    shell, flag, script = shlex.split(ENTRYPOINT)
    assert (shell, flag) == ("bash", "-c")
    name = re.findall(r"sweep=(\w+)", script)[0]
    assert f"test -e sweeps/{name}/{sweep_yaml.FILE} && echo --resume" in script
    assert re.findall(r"cd (\S+)", script) == ["/gram"]


def test_every_picture_of_the_guide_exists() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", TEXT)
    assert [name for name in pictures if not (PROJECT / "docs" / name).exists()] == []


def test_every_file_of_a_sweep_that_the_table_names_is_one_that_is_recorded_or_written() -> None:
    from pipeline.sweep.report.record import FILES

    named = set(re.findall(r"`([\w.]+\.\w+)`", TEXT.partition("## Files")[2].partition("###")[0]))
    assert set(FILES) <= named
