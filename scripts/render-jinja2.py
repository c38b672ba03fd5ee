# Renders a chat template with Jinja2 as transformers sets it up. Reads from standard input {"template", "variables": […]}; writes
# for each of the variables {"text"} or {"error"}. Called by test/strangers/templates/template-corpus.test.ts; needs Python's package jinja2.
import datetime
import json
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
)
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = refuse
environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)

job = json.load(sys.stdin)
outcomes = []
try:
    template = environment.from_string(job["template"])
    for variables in job["variables"]:
        try:
            outcomes.append({"text": template.render(**variables)})
        except Exception as error:
            outcomes.append({"error": f"{type(error).__name__}: {error}"})
except jinja2.exceptions.TemplateSyntaxError as error:
    outcomes = [{"error": f"{type(error).__name__}: {error}"}] * len(job["variables"])
json.dump(outcomes, sys.stdout)
