"""The params of ansible-core's tasks that these lack, each with what to write instead."""

from __future__ import annotations

_OWNER = "what is made belongs to the user who runs runbook; write a `command: chown ...` after this step"
_LABEL = "write a `command: chcon ...` after this step"
_ONE_FORM = "leave it out: the forms `{{ }}`, `{% %}` and `{# #}` are the only ones"
_ONE_BY_ONE = "write a `stat` step with a `loop` over the `files` returned"
_FOLDER = "name the files, one step for each, or a `loop`"

FILES = {
    "owner": _OWNER,
    "group": _OWNER,
    "attributes": "write a `command: chattr ...` after this step",
    "attr": "write a `command: chattr ...` after this step",
    **dict.fromkeys(("seuser", "serole", "setype", "selevel"), _LABEL),
    "unsafe_writes": "leave it out: every file is written whole or not at all",
}
FILE = {
    **FILES,
    "access_time_format": "leave it out: existing files keep their times",
    "modification_time_format": "leave it out: existing files keep their times",
}
COPY = {
    **FILES,
    "checksum": "leave it out: what was copied is compared with `src`",
    "decrypt": "leave it out: there is no vault",
    "local_follow": "leave it out: links in `src` are copied as what they lead to",
}
TEMPLATE = {
    **FILES,
    **dict.fromkeys(
        (
            *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string"),
            *("comment_start_string", "comment_end_string"),
        ),
        _ONE_FORM,
    ),
    "trim_blocks": "write `-%}` where a newline is to go",
    "lstrip_blocks": "write `{%-` where blanks are to go",
    "newline_sequence": "leave it out: lines end as they do in the template",
    "output_encoding": "leave it out: it is UTF-8",
}
WEB = {
    **FILES,
    **dict.fromkeys(("ciphers", "client_cert", "client_key", "use_gssapi"), "write a `command: curl ...`"),
    "http_agent": "write it under `headers`: `User-Agent: ...`",
    "decompress": "leave it out: what comes compressed is unpacked",
    "unredirected_headers": "leave it out: `Authorization` is not sent on to other hosts",
    "use_netrc": "write `url_username` and `url_password`",
    "use_proxy": "leave it out: the proxies are those of the environment, HTTP_PROXY and NO_PROXY",
}
URI = {
    **WEB,
    "ca_path": "write a `command: curl ...`",
    "unix_socket": "write a `command: curl --unix-socket ...`",
}
FIND = {
    **dict.fromkeys(
        ("checksum_algorithm", "checksum", "checksum_algo", "get_checksum"), "write a `stat` step with a `loop`"
    ),
    "encoding": "leave it out: `contains` matches the file's bytes",
    "exact_mode": "choose among the `files` returned: `selectattr('mode', 'eq', '0644')`",
    "mode": "choose among the `files` returned: `selectattr('mode', 'eq', '0644')`",
    "follow": "name the folders that links lead to",
    "limit": "take the first of the `files` returned: `files[:10]`",
    "read_whole_file": "leave it out: `contains` is asked line by line",
}
INCLUDE_VARS = {
    **dict.fromkeys(
        ("dir", "depth", "extensions", "files_matching", "ignore_files", "ignore_unknown_extensions"), _FOLDER
    ),
    "hash_behaviour": "use the filter `combine(other, recursive=true)`",
}
DEBUG = {"verbosity": "leave it out: the message is always shown"}
PAUSE = {"echo": "leave it out: what is typed is not kept"}
STAT = {
    **dict.fromkeys(("get_attributes", "attr", "attributes"), "write a `command: lsattr ...`"),
    **dict.fromkeys(("get_mime", "mime", "mime_type", "mime-type"), "write a `command: file --mime ...`"),
}
