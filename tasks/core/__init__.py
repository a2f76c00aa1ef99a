"""The tasks that a step names without a domain, after ansible-core's: `WHERE` says which module has which."""

WHERE: dict[str, str] = {
    "assert": "say",
    "blockinfile": "blocks",
    "command": "commands",
    "copy": "writing",
    "debug": "say",
    "fail": "say",
    "file": "files",
    "find": "searching",
    "include_vars": "say",
    "lineinfile": "lines",
    "pause": "say",
    "replace": "blocks",
    "set_fact": "say",
    "shell": "commands",
    "slurp": "reading",
    "stat": "reading",
    "tempfile": "files",
    "template": "writing",
}
