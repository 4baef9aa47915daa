"""What each instrument adds to one call of its library: a module a library, named as the instrument.

A module has `server`, a function without arguments that gives a context manager of what the library connects to (its
value must be JSON), or None; and `calls(address)`, a context manager of the call that is measured: a function, a
coroutine function, or an `Elsewhere` where another thread does its work. The call is what a program does most: one
statement, one look-up, one request, one message. It is made within a request, unless the module says
`IS_REQUEST = True`: then it is one itself.
"""
