"""The parts of an autoregressive generator: a chain of conditionals, one link a column.

`order` decides who comes first. A `link` knows a column's `states`, gathers them in `cells` and sees earlier
columns as `features`; a `classifier` (a score card, `linear`, then `boosted` trees) gives the cell, and a
`forest` (grown by `growing`, with categories as `means`, its sizes of leaf weighed by `stacking`) the state
inside. `learning` learns all links, `packing` stores them. `particles` walk along the chain: freely, inside a
condition (`conditioned`), or under the evidence of a partial row (`completion`).
"""
