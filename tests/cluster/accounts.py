"""SLURM's accounting for a cluster of these tests: a database and slurmdbd, in the cluster's folder."""

import secrets
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("slurmdbd", "mariadb-server")
PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb")
WITHOUT = "AccountingStorageType=accounting_storage/none"
WITH = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={root}/munge.socket"""
CONFIGURATION = """\
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
LogFile={root}/slurmdbd.log
PidFile={root}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass={password}
StorageLoc=accounts
"""


class Accounts:
    """root: of the cluster. port, database: where slurmdbd and the database server listen."""

    def __init__(self, root: Path, port: int, database: int) -> None:
        self.root, self.port, self.database = root, port, database
        self.password = secrets.token_hex(8)
        self.socket = root / "database.socket"

    def server(self) -> list[object]:
        """The database server's command line, once there are its tables and slurmdbd's configuration."""
        place = self.root / "database"
        self._run(
            "mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={place}", "--skip-test-db"
        )
        values = {"root": self.root, "port": self.port, "database": self.database, "password": self.password}
        told = self.root / "slurmdbd.conf"  # beside slurm.conf, where it is looked for
        told.write_text(CONFIGURATION.format(**values))
        told.chmod(0o600)
        where = (f"--datadir={place}", f"--socket={self.socket}", f"--port={self.database}")
        small = (
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
            "--innodb-lock-wait-timeout=900",
        )
        pid = f"--pid-file={self.root / 'database.pid'}"
        return ["mariadbd", "--no-defaults", "--user=root", *where, "--bind-address=127.0.0.1", pid, *small]

    def admit(self) -> None:
        """Let ``slurmdbd`` in."""
        user = f"'slurm'@'127.0.0.1' identified by '{self.password}'"
        self._run("mariadb", f"--socket={self.socket}", f"--execute=grant all on *.* to {user}")

    def _run(self, program: str, *words: str) -> None:
        found = shutil.which(program)
        assert found is not None, program
        done = subprocess.run([found, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (program, done.stdout, done.stderr)
