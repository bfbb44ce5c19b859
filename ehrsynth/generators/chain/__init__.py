"""The parts of an autoregressive generator: a chain of conditionals, one link a column.

`states` say what a column's values are to a link, `features` what earlier columns look like to it,
`classifier` and `forest` learn, `link` puts them together, `order` decides who comes first.
"""
