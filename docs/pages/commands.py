"""The reference of both programs, from the commands themselves."""

import click

import rsgt.cli.commands
import rsn.cli

PROGRAMS = {"rsgt": rsgt.cli.commands.main, "rsn": rsn.cli.main}
HEAD = """# Commands

Made from the commands themselves: what `--help` says. Exit codes of both programs: 0 done; 1 judged and
found wanting, some items failed, or something that nobody foresaw (`RSGT_DEBUG=1` shows its traceback);
2 a mistake, in one line; 130 and 143 interrupted. One bad frame or photo is named and left out, and the rest
is done.
"""


class Markdown(click.HelpFormatter):
    """Writes a command's help as Markdown: paragraphs, blocks that are not wrapped, tables of options."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how the command is called."""
        self.write(f"```text\n{prog} {args}\n```\n\n")

    def write_heading(self, heading: str) -> None:
        """Write the heading of a block of options, below the command's own."""
        self.write(f"**{heading}**\n\n")

    def write_paragraph(self) -> None:
        """Leave a line empty."""
        self.write("\n")

    def write_text(self, text: str) -> None:
        """Write the command's description."""
        for paragraph in text.split("\n\n"):
            if paragraph.startswith("\b"):
                self.write(f"```text\n{paragraph.lstrip(chr(8)).strip(chr(10))}\n```\n\n")
            else:
                self.write(escaped(" ".join(paragraph.split())) + "\n\n")

    def write_dl(self, rows: object, col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a table of options and what they do."""
        self.write("| option | |\n| --- | --- |\n")
        for name, text in rows:  # type: ignore[attr-defined]
            self.write(f"| `{name.replace('|', '`, `')}` | {escaped(' '.join(text.split()))} |\n")
        self.write("\n")


def escaped(text: str) -> str:
    """Plain text, as Markdown and a cell of a table need it."""
    for sign in "\\|*_<[{":
        text = text.replace(sign, f"&#{ord(sign)};") if sign in "|<[{" else text.replace(sign, f"\\{sign}")
    return text


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for program, group in PROGRAMS.items():
        parts.append(f"## {program}\n\n{escaped(group.help or '')}\n")
        for name in group.list_commands(click.Context(group)):
            parts.append(f"### {program} {name}\n\n{_help(program, name, group)}")
    return "\n".join(parts)


def _help(program: str, name: str, group: click.Group) -> str:
    command = group.commands[name]
    context = click.Context(
        command, info_name=name, parent=click.Context(group, info_name=program, help_option_names=["--help"])
    )
    formatter = Markdown(width=10_000)
    command.format_help(context, formatter)
    return formatter.getvalue()
