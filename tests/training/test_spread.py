"""A training spread over processes: batches shared out, gradients averaged, one set of files."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_cases import build_experiment, make_case, run

from thermo_qc.errors import ConfigError, TrainingError, UnknownNameError
from thermo_qc.training import Spread, fitting, spread_over
from thermo_qc.training.freezing import Unfreezing
from thermo_qc.training.spread import SharedBatches, current_spread

ALL = {"devices": 2, "nodes": 1}


@pytest.mark.parametrize(
    ("spread", "name"),
    [
        (Spread(), "ddp_spawn"),
        (Spread(devices=2), "ddp_spawn"),
        (Spread(devices=2, nodes=2), "ddp"),
        (Spread(strategy="ddp_fork"), "ddp_fork"),
    ],
)
def test_names(spread, name):
    assert spread.name == name
    assert spread.n_processes == spread.devices * spread.nodes


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"devices": 0}, ConfigError, "0 devices on 1 machines, expected at least one"),
        ({"strategy": "dpp"}, UnknownNameError, "unknown strategy 'dpp'; did you mean 'ddp'"),
        ({"nodes": 2, "strategy": "ddp_spawn"}, ConfigError, "ddp_spawn works on one machine; use ddp on 2"),
    ],
)
def test_impossible_spreads(options, kind, message):
    with pytest.raises(kind, match=message), spread_over(**options):
        pass
    assert current_spread() == Spread()


def test_options_of_the_trainer():
    cpu = torch.device("cpu")
    assert Spread().trainer_options(cpu) == {"accelerator": "cpu", "devices": 1}
    assert Spread(devices=2).trainer_options(cpu) == {
        "accelerator": "cpu", "devices": 2, "num_nodes": 1, "strategy": "ddp_spawn",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="cuda:1 is a single device, 2 were wanted"):
        Spread(devices=2).trainer_options(torch.device("cuda:1"))
    with pytest.raises(ConfigError, match="cannot share mps"):
        Spread(devices=2).trainer_options(torch.device("mps"))
    with pytest.raises(ConfigError, match="4096 GPUs were wanted"):
        Spread(devices=4096).trainer_options(torch.device("cuda"))


class Loader:
    def __init__(self, number):
        self.batches = list(range(number))


class Trainer:
    def __init__(self, rank, size):
        self.global_rank, self.world_size = rank, size
        self.strategy = type("Strategy", (), {"root_device": torch.device("meta")})


@pytest.mark.parametrize(("number", "size"), [(6, 2), (7, 3), (2, 2)])
def test_every_batch_is_drawn_once_and_all_draw_alike_many(number, size):
    shares = []
    for rank in range(size):
        loader = Loader(number)
        SharedBatches(loader, 1).setup(Trainer(rank, size), None, "fit")
        shares.append(loader.batches)
    assert len({len(share) for share in shares}) == 1
    assert sorted(batch for share in shares for batch in share) == list(range(number - number % size))


def test_too_few_batches_are_told():
    with pytest.raises(TrainingError, match=r"an epoch has 1 batches for 2 processes; lower train\.batch_size"):
        SharedBatches(Loader(1), 1).setup(Trainer(0, 2), None, "fit")


def test_frozen_layers_need_one_device():
    line = "layers or statistics are frozen, which processes that train together cannot follow; use a single device"
    with pytest.raises(ConfigError, match=line):
        fitting._sharing(Spread(devices=2), Loader(2), [Unfreezing.__new__(Unfreezing)])


def _same_as_one(folder, strategy):
    """Averaged gradients of two halves are the gradient of the whole: the same weights after a step of plain SGD."""
    plain = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    options = {"epochs": 1, "optimiser": plain, "samples_per_epoch": 256}

    def train(size, part):
        settings = build_experiment("curve", "lstm", {"hidden": 4}, batch_size=size, **options)
        return run([make_case()], settings, folder / part, threads=1)

    with spread_over(devices=2, strategy=strategy):
        two = train(128, "two")
    one = train(256, "one")
    theirs = one.network.state_dict()
    for name, ours in two.network.state_dict().items():
        np.testing.assert_allclose(ours.numpy(), theirs[name].numpy(), atol=2e-6, err_msg=name)
    rows = [(folder / part / "history.csv").read_text().splitlines() for part in ("two", "one")]
    assert len(rows[0]) == len(rows[1]) == 2
    losses = [float(row[1].split(",")[1]) for row in rows]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes by fork")
def test_two_processes_train_as_one_with_batches_twice_as_large(tmp_path):
    _same_as_one(tmp_path, "ddp_fork")


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.skipif(sys.platform == "win32", reason="gloo is not tried there")
def test_two_new_processes_train_as_one(tmp_path):
    _same_as_one(tmp_path, "ddp_spawn")


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from training_cases import build_experiment, make_case, run
from thermo_qc.training import spread_over

if __name__ == "__main__":
    settings = build_experiment("curve", "cnn1d", epochs=2, validation_fraction=0.2, batch_size=64)
    with spread_over(devices=1, nodes=2):
        run([make_case()], settings, Path(sys.argv[2]), threads=1)
    print("went on")
"""


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.skipif(sys.platform == "win32", reason="gloo is not tried there")
def test_two_machines(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path / "run")]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    machines = [
        subprocess.Popen(
            command, env={**common, "NODE_RANK": str(rank), "LOCAL_RANK": "0"}, stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    said = [machine.communicate(timeout=300)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    assert ["went on" in text for text in said] == [True, False]
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "history.csv").read_text().count("\n") == 3
