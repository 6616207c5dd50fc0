"""What to do about failures on the way to a host, whose messages Ansible, SSH and sudo leave at what happened."""

from __future__ import annotations

import re
from pathlib import Path

_LOOK_BYTES = 1_000_000
"""Far more than a file of variables has."""

_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        (
            "The host shows another key than the one that is known for it. If it was installed anew, forget the old key"
            " (ssh-keygen -R HOST, as the message says); if not, somebody may be in between."
        ),
    ),
    (
        r"Host key verification failed",
        (
            "The host's key is not known yet: connect once by hand (ssh USER@HOST) and compare the fingerprint, or put"
            " the key into ~/.ssh/known_hosts."
        ),
    ),
    (
        r"Completely failed to parse inventory source",
        (
            "The inventory cannot be read: look at the line that is named first, and at the one above it. Blanks (no"
            " tabs) indent as in inventory/example, and after a colon comes a blank."
        ),
    ),
    (
        r"Could not resolve hostname",
        "The host's name has no address: correct it in the inventory, or set ansible_host to the address.",
    ),
    (
        r"Permission denied \((?:publickey|password|keyboard|gssapi)",
        (
            "SSH refused the user: set ansible_user and ansible_ssh_private_key_file in the inventory, or let SSH"
            " ask for a password with -k."
        ),
    ),
    (
        r"Connection refused|Connection timed out|No route to host|Network is unreachable|timed out",
        (
            "Nothing answers there: check that the host is up and runs an SSH server, ansible_host and ansible_port in"
            " the inventory, and firewalls in between. `ssh -p PORT USER@HOST` must work."
        ),
    ),
    (
        r"No such container|container .* is not running|Could not find container",
        "The demo host is not there or not running: `berth up` makes and starts it.",
    ),
    (
        r"Missing (?:sudo|become|su) password|a password is required|password is required",
        (
            "The user must give a password to become root: have it asked for with -K, or set ansible_become_password,"
            " in a file encrypted with ansible-vault."
        ),
    ),
    (
        r"Incorrect (?:sudo|become|su) password|Sorry, try again|incorrect password attempt",
        "sudo refused the password: give the right one with -K, or correct ansible_become_password in the inventory.",
    ),
    (
        r"is not in the sudoers file|is not allowed to (?:execute|run sudo)",
        (
            "The user may not become root: allow it on the host (as root: usermod -aG sudo USER), or set ansible_user"
            " to one who may."
        ),
    ),
    (
        r"sudo: (?:command )?not found|sudo.*No such file or directory|executable sudo",
        "The host has no sudo: install it (as root: apt install sudo), or set ansible_become_method to su.",
    ),
    (
        r"no vault secrets found|without a vault secret|no vault secrets were found to decrypt",
        "A file of the inventory is encrypted: name the file with its password, --vault-password-file FILE.",
    ),
    (
        r"Decryption failed|no vault secrets were found that could decrypt",
        "The vault password is not the one that the file was encrypted with: check what --vault-password-file names.",
    ),
    (
        r"python3?: not found|python3?: No such file|No python interpreters? found|interpreter.*not found",
        "The host has no Python, which Ansible needs there: install it (as root: apt install python3).",
    ),
    (
        r"to use the 'ssh' connection type with passwords.*sshpass|sshpass program",
        "A password for SSH needs the program sshpass on this machine (apt install sshpass); keys need nothing.",
    ),
)


def advice(text: str, inventory: str | None = None) -> str | None:
    """What to do about a failure; None if nothing better is known than what the failure itself says.

    Args:
        text: What Ansible or the host said.
        inventory: Where the run's inventory is; Ansible does not tell which file it cannot decrypt.
    """
    for pattern, what in _ADVICE:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            files = encrypted_files(inventory) if inventory and "vault" in pattern else []
            return f"{what} Encrypted: {', '.join(files)}" if files else what
    return None


def encrypted_files(inventory: str) -> list[str]:
    """The files of an inventory that are encrypted, or hold something that is, by their paths."""
    place = Path(inventory)
    folder = place if place.is_dir() else place.parent
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [str(path) for path in files if b"$ANSIBLE_VAULT" in path.read_bytes()[:_LOOK_BYTES]]
