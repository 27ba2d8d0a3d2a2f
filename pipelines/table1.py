"""Table 1 of the paper, the ablation: targets, losses and iterations."""

from rows import Row, command
from table2 import ITERATIVE

ROWS = (
    Row(name="support-log", recipe="ablation", changes={"target": "support", "space": "log"}),
    Row(name="depth-log", recipe="ablation", changes={"space": "log"}),
    Row(name="depth-linear", recipe="ablation", changes={"space": "linear"}),
    Row(name="depth-l2-log", recipe="ablation", changes={"loss": "l2", "space": "log"}),
    Row(name="depth-linear-then-log", recipe="ablation", changes={"space": "linear-then-log"}),
    Row(name="refinement-once", recipe="iterations", changes={"iterations": 1, "iteration_weights": [1.0]}),
    Row(name="refinement-last", recipe="iterations", changes={"iteration_weights": [0.0, 0.0, 1.0]}),
    Row(name="refinement-iterative", recipe="iterations", same=("table2", ITERATIVE)),
)

if __name__ == "__main__":
    command("table1", ROWS, "Make the records of Table 1: targets, losses and iterations.")()
