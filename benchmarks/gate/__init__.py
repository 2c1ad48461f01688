"""Whether the drift gate keeps its promises: silent on code that has not changed, red on code that is broken.

Three parts: `simulation` puts made-up seed noise through the gate's own tests, `real` holds runs of one code against
runs of the same code with other seeds, and `breaks` breaks the code on purpose (`patches`) and looks at the verdict.
"""
