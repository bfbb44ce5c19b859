"""Differential privacy: what a guarantee costs, who pays, how noise is drawn, and how the claim is tried.

::

    ledger = Ledger(rows, budget, accountant="zCDP")
    counts = count(ledger.open(Gaussian(20.0)))        # the only way to raw rows
    noisy = counts + discrete_gaussian(noise, 400.0, counts.size)
    ledger.close().epsilon                             # never above the budget's

`events` name the mechanisms, `accounting` adds them up, `ledger` pays for each touch of raw rows and
`register` for each release of a data set. `noise` draws discrete Gaussian noise and choices, `descent` is
stochastic gradient descent with clipped, noisy sums. `soundness` checks the parts, `audit` and `canaries`
attack the whole.
"""
