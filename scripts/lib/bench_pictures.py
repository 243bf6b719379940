# SPDX-License-Identifier: MIT
"""Pictures for docs/performance.md, drawn by gnuplot as SVG."""

import shutil
import subprocess
import sys

HEAD = """
set terminal svg size {width},{height} dynamic background rgb 'white' font 'sans-serif,12'
set output '{path}'
set title "{title}" noenhanced
set grid ytics lc rgb '#dddddd'
set border 3 lc rgb '#666666'
set tics nomirror
"""


def gnuplot(path, title, commands, *, width=640, height=400):
    if not shutil.which("gnuplot"):
        sys.exit("bench: there is no gnuplot for the pictures of --docs: install the package gnuplot-nox")
    path.parent.mkdir(exist_ok=True)
    head = HEAD.format(path=path, title=title, width=width, height=height)
    subprocess.run(["gnuplot"], input=head + commands, text=True, check=True)


def lines(path, title, xlabel, ylabel, series):
    """series: {name: [(x, y), ...]}, as lines with points."""
    commands = [f'set xlabel "{xlabel}"', f'set ylabel "{ylabel}"', "set key left top", "set yrange [0:*]"]
    for number, points in enumerate(series.values()):
        commands += [f"$data{number} << end"] + [f"{x} {y}" for x, y in points] + ["end"]
    plots = [f'$data{number} with linespoints pt 7 ps 0.6 lw 2 title "{name}"' for number, name in enumerate(series)]
    gnuplot(path, title, "\n".join(commands + ["plot " + ", ".join(plots)]) + "\n")


def stacks(path, title, ylabel, parts, bars):
    """bars: {name: [value of each part, from below]}."""
    commands = [f'set ylabel "{ylabel}"', "set style data histograms", "set style histogram rowstacked",
                "set style fill solid 0.8 border -1", "set boxwidth 0.5", "set key outside bottom center horizontal", "set yrange [0:*]", "$data << end"]
    commands += [f'"{name}" ' + " ".join(str(value) for value in values) for name, values in bars.items()] + ["end"]
    plots = [f'$data using {number + 2}{":xtic(1)" if number == 0 else ""} title "{part}"' for number, part in enumerate(parts)]
    gnuplot(path, title, "\n".join(commands + ["plot " + ", ".join(plots)]) + "\n")
