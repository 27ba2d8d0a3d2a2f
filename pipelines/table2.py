"""Table 2 of the paper: what guidance is worth, and the whole network."""

from rows import Row, command

ITERATIVE = Row(name="refinement-iterative", recipe="iterations")
ROWS = (
    # All 795 frames: nothing is chosen by the held-out ones.
    Row(name="generation-depth", recipe="generation", changes={"validation": 0.0}),
    Row(name="generation-support", recipe="support"),
    Row(name="refinement-ground-truth", recipe="refinement"),
    ITERATIVE,
    Row(name="refinement-ground-truth-published", recipe="refinement", support="published"),
    Row(name="refinement-ground-truth-planes", recipe="refinement", support="plane"),
    Row(name="refinement-semantic", recipe="refinement", changes={"guidance": "semantic"}),
    Row(name="refinement-superpixel", recipe="refinement", changes={"guidance": "superpixel"}),
    Row(name="refinement-none", recipe="refinement", changes={"guidance": "none"}),
    Row(name="rsn", recipe="rsn", changes={"validation": 0.0}),
    Row(name="clustering", recipe="clustering"),
)

if __name__ == "__main__":
    command("table2", ROWS, "Make the records of Table 2: guidance, and the whole network.")()
