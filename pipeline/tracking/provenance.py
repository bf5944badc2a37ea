"""Provenance of results as tags: commit, uncommitted changes, data, configuration."""

import subprocess

from pipeline.config.yaml_reading import PROJECT


def tags(*, data_hash: str, fingerprint: str) -> dict[str, str]:
    """Tags of a run: data and configuration, and those of `program`."""
    return {"data_hash": data_hash, "fingerprint": fingerprint, **program()}


def program() -> dict[str, str]:
    """Tags of the commit and of uncommitted changes; empty without git."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    changes = str(bool(_git("status", "--porcelain", "-uno"))).lower()
    return {"mlflow.source.git.commit": commit, "git.uncommitted_changes": changes}


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, encoding="utf-8", check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
