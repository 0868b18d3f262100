"""A simulated engine: a model whose replies are a function of (seed, messages, request seed), slots, faults, a server.

model.py      what a seed gives: text, length, pass or fail       pure
answers.py    the right answer of each prompt, and wrong ones     pure, but for reading the input
faults.py     what goes wrong with which request                  pure
slots.py      how long it takes: slots, a queue, tokens/s         on a clock that is handed in
clock.py      a clock for virtual time
behaviour.py  what one server does, all in one record
counts.py     what GET /stats tells
replies.py    the bodies and events of OpenAI's chat completions
delivery.py   writes a reply to its client, with what a fault does to it
server.py     the server; `samplers/simulated.py` is the same in process and without HTTP
"""
