// Chat templates with the structure of those of well-known models, for the tests of untrusted messages.

const chatMl =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const qwen3 = `{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and reasoning_content %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' + tool_call.name + '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}`;

const deepSeekR1 =
  "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, system_prompt='') %}" +
  "{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}" +
  '{{bos_token}}{{ns.system_prompt}}' +
  "{%- for message in messages %}{%- if message['role'] == 'user' %}{{'<｜User｜>' + message['content']}}{%- endif %}" +
  "{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}" +
  "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}" +
  "{%- endfor -%}{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}";

const llama2 =
  "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}" +
  '{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}' +
  "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}" +
  "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}" +
  "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

const llama31 =
  '{{- bos_token }}{%- if tools is not none %}{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}{%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\\n\\n" }}{%- endfor %}{{- "<|eot_id|>" }}{%- endif %}' +
  "{%- for message in messages %}{%- if message.role == 'tool' %}{{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' }}{{- message.content | tojson }}{{- '<|eot_id|>' }}" +
  "{%- elif 'tool_calls' in message %}{%- set tool_call = message.tool_calls[0].function %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}" +
  '{{- \'{"name": "\' + tool_call.name + \'", \' }}{%- for arg_name, arg_val in tool_call.arguments | items %}{{- arg_name + \'="\' ~ arg_val ~ \'"\' }}{%- if not loop.last %}{{- ", " }}{%- endif %}{%- endfor %}{{- "<|eot_id|>" }}' +
  "{%- else %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}{%- endif %}{%- endfor %}" +
  "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}";

const mistral =
  "{{ bos_token }}{% for message in messages if message.role != 'system' %}{% if message['role'] == 'user' %}{% if tools %}{{ '[AVAILABLE_TOOLS] ' + tools|tojson + '[/AVAILABLE_TOOLS]' }}{% endif %}{{ '[INST] ' + message['content'] + ' [/INST]' }}" +
  "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token}}{% endif %}{% endfor %}";

const gemma =
  "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}" +
  "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}";

const phi3 =
  "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\\n' + message['content'] + '<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}";

const parts =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}";

/** Templates that take texts apart and put them together, which no mark at their ends survives. */
const cutting: Readonly<Record<string, string>> = {
  'without the last character': '{% for m in messages %}<|im_start|>{{ m.content[:-1] }}<|im_end|>{% endfor %}',
  'without the first character': '{% for m in messages %}<|im_start|>{{ m.content[1:] }}<|im_end|>{% endfor %}',
  'without line breaks':
    "{% for m in messages %}<|im_start|>{{ m.content.replace('\\n', '') | replace('\\\\', '') }}<|im_end|>{% endfor %}",
  'by its characters':
    '{% for m in messages %}<|im_start|>{% for c in m.content %}{{ c }}{% endfor %}<|im_end|>{% endfor %}',
  'backwards twice': '{% for m in messages %}<|im_start|>{{ m.content[::-1] | reverse }}<|im_end|>{% endfor %}',
  'by its lines': "{% for m in messages %}<|im_start|>{{ m.content.split('\\n') | join('') }}<|im_end|>{% endfor %}",
  'in a list': '{% for m in messages %}<|im_start|>{{ [m.content, m.role] }}{{ m }}<|im_end|>{% endfor %}',
  'in lower case':
    '{% for m in messages %}<|im_start|>{{ (m.content | upper).lower() | title | lower }}<|im_end|>{% endfor %}',
  formatted:
    "{% for m in messages %}<|im_start|>{{ '%s' % m.content }}{{ '{}'.format(m.content) }}<|im_end|>{% endfor %}",
  'in a macro and a block':
    '{% macro f(x) %}{{ x }}{{ caller() }}{% endmacro %}{% for m in messages %}{% set b %}<|im_start|>{{ m.content }}{% endset %}{% call f(b) %}<|im_end|>{% endcall %}{% endfor %}',
  'its keys':
    '{% for m in messages %}<|im_start|>{% for k, v in m.items() %}{{ k }}:{{ v }};{% endfor %}{{ m | tojson }}{{ m | list | join }}<|im_end|>{% endfor %}',
  'its variables':
    '{% for m in messages %}<|im_start|>{% for k, v in extra.items() %}{{ k ~ v }}{% endfor %}{{ extra|dictsort }}<|im_end|>{% endfor %}',
  'the name of its tool':
    "{% for m in messages %}<|im_start|>{{ tools | map(attribute='function') | map(attribute='name') | join(', ') }}<|im_end|>{% endfor %}",
};

export const templates: Readonly<Record<string, string>> = {
  chatMl,
  qwen3,
  deepSeekR1,
  llama2,
  llama31,
  mistral,
  gemma,
  phi3,
  parts,
  ...cutting,
};

const headers =
  "{%- macro header(role, name) %}{{ '<|start_header_id|>' ~ role }}{% if name %}{{ ' name=' ~ name }}{% endif %}{{ '<|end_header_id|>' }}{% endmacro %}";

/** Templates that check a conversation and refuse some: each is tried with all kinds of conversations (template-places.ts). */
export const choosyTemplates: Readonly<Record<string, string>> = {
  'with turns that alternate': `{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content | trim ~ '\\n\\n' %}{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}
{%- for message in rest %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('the roles must alternate') }}{% endif %}
    {{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' + (first if loop.first else '') }}
    {%- if message.content is string %}{{ message.content | trim }}
    {%- elif message.content is iterable %}{% for part in message.content %}{% if part.type == 'image' %}{{ '<s>' }}{% elif part.type == 'text' %}{{ part.text | trim }}{% endif %}{% endfor %}
    {%- else %}{{ raise_exception('neither text nor parts') }}{% endif %}
    {{- '<end_of_turn>\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}`,
  'with a date': `${headers}{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}{% if not custom_tools is defined %}{% set custom_tools = none %}{% endif %}
{{- bos_token ~ header('system', none) ~ 'Today: ' ~ date_string ~ '\\n' }}{% if builtin_tools is defined %}{{ 'Tools: ' + builtin_tools | reject('equalto', 'code') | join(', ') }}{% endif %}{{ custom_tools or '' }}{{ '<|eot_id|>' }}
{%- for message in messages if message.role != 'system' %}{{ header(message.role, message.name | default('')) ~ message.content | string ~ '<|eot_id|>' }}{% endfor %}`,
  'with the types of tools': `{% macro type_of(spec) %}{% if spec is mapping %}{% if spec.enum is defined %}{{ spec.enum | map('tojson') | join(' | ') }}{% elif spec.properties is defined %}{ {%- for name, one in spec.properties | items %}{{ '\\n// ' ~ one.description ~ '\\n' ~ name ~ ('' if name in spec.required | default([]) else '?') ~ ': ' ~ type_of(one) ~ ',' }}{% endfor %} }{% else %}{{ spec.type | default('any', true) }}{% endif %}{% else %}{{ spec | string }}{% endif %}{% endmacro %}
{%- if tools %}<|im_start|>system
{% for tool in tools %}{% set f = tool.function if tool.function is defined else tool %}type {{ f.name | trim }} = (_: {{ type_of(f.parameters) }}) => any; // {{ f.description }}
{% endfor %}<|im_end|>{% endif %}{% for message in messages %}<|im_start|>{{ message.role | title | lower }}
{{ message.content if message.content is string else message.content | tojson(indent=2) }}<|im_end|>
{% endfor %}`,
  'with calls as tags': `{% for message in messages %}{% if message.tool_calls %}<|im_start|>assistant{% for call in message.tool_calls %}{% set f = call.function or call %}
<tool_call>
<function={{ f.name }}>{% if f.arguments is mapping %}{% for name in f.arguments.keys() %}{% set value = f.arguments[name] %}
<parameter={{ name }}>
{% if value is string %}{{ value }}{% else %}{{ value | tojson | safe }}{% endif %}
</parameter>{% endfor %}{% else %}{{ f.arguments }}{% endif %}
</function>
</tool_call>{% endfor %}<|im_end|>{% elif message.role == 'tool' %}{% if loop.previtem and loop.previtem.role != 'tool' %}<|im_start|>user{% endif %}
<tool_response>
{{ message.content }}
</tool_response>{% if loop.last or loop.nextitem.role != 'tool' %}<|im_end|>{% endif %}{% else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>{% endif %}{% endfor %}`,
  'with identified calls': `{{ bos_token }}{% set users = messages | selectattr('role', 'equalto', 'user') | list %}{% set ns = namespace(index=0) %}{% for message in messages %}{% if message.role == 'user' %}{% set ns.index = ns.index + 1 %}{% if tools is not none and message == users[-1] %}{{ '[AVAILABLE_TOOLS]' }}[{% for tool in tools %}{% set tool = tool.function %}{{ '{"type": "function", "function": {' }}{% for key, value in tool.items() if key != 'return' %}{% if value is string %}{{ '"' + key + '": "' + value + '"' }}{% else %}{{ '"' + key + '": ' + value | tojson }}{% endif %}{% if not loop.last %}, {% endif %}{% endfor %}{{ '}}' }}{% endfor %}]{{ '[/AVAILABLE_TOOLS]' }}{% endif %}{{ '[INST]' + (message.content | string) + '[/INST]' }}
{%- elif message.tool_calls is defined %}{{ '[TOOL_CALLS][' }}{% for call in message.tool_calls %}{% set out = call.function | tojson %}{{ out[:-1] }}{% if not call.id is defined or call.id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}{{ ', "id": "' + call.id + '"}' }}{% endfor %}{{ ']' + eos_token }}
{%- elif message.role == 'tool' or message.role == 'tool_results' %}{{ '[TOOL_RESULTS]{"content": ' + message.content | string + ', "call_id": "' ~ message.tool_call_id ~ '"}[/TOOL_RESULTS]' }}
{%- elif message.role == 'assistant' %}{{ message.content | string + eos_token }}{% endif %}{% endfor %}`,
  'with documents': `{% if documents %}<|start_header_id|>documents<|end_header_id|>{% for document in documents %}
Document {{ loop.index0 }}
{% for key, value in document | dictsort %}{{ key | title }}: {{ value }}
{% endfor %}{% endfor %}<|eot_id|>{% endif %}{% for message in messages %}{% filter trim %}<|user|>{{ message.content }}<|end|>{% endfilter %}{% endfor %}`,
  'with marked answers': `{% for message in messages %}{% if message.role == 'assistant' %}<|im_start|>assistant
{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}{% if message.prefix %}{% break %}{% endif %}{% continue %}{% endif %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>{% endfor %}`,
  'with visible text': `{% macro visible(content) %}{% if content is string %}{{ content }}{% elif content is iterable and content is not mapping %}{% for one in content %}{% if one is mapping and one.type == 'text' %}{{ one.text }}{% elif one is mapping %}<|tool|>{% elif one is string %}{{ one }}{% endif %}{% endfor %}{% elif content is none %}{% else %}{{ content }}{% endif %}{% endmacro %}[INST]<s>{% for m in messages %}{% if m.role == 'user' %}<|user|>
{{ visible(m.content) }}{% elif m.role == 'assistant' %}<|assistant|>{% set content = visible(m.content) %}{% set reasoning = '' %}{% if m.reasoning_content is string %}{% set reasoning = m.reasoning_content %}{% elif '</think>' in content %}{% set reasoning = (content.split('</think>') | first).split('<think>') | last %}{% set content = content.split('</think>') | last %}{% endif %}
<think>{{ reasoning.strip() }}</think>
{{ content.strip() }}{% for call in m.tool_calls or [] %}
<tool_call>{{ call.function.name }}
{% set args = call.function.arguments %}{% if args is mapping %}{% for k, v in args.items() %}<arg_key>{{ k }}</arg_key>
<arg_value>{{ v | tojson(ensure_ascii=False) if v is not string else v }}</arg_value>
{% endfor %}{% endif %}</tool_call>{% endfor %}{% else %}<|{{ m.role }}|>{{ visible(m.content) }}{% endif %}{% endfor %}`,
  'with reversed and sorted lists': `{% set ns = namespace(text='') %}{% for message in messages | reverse %}{% set ns.text = '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>' ~ ns.text %}{% endfor %}{{ ns.text }}{{ messages | map(attribute='content') | map('string') | unique | sort | join('<|end|>') }}`,
  'with calls joined to text': `{% for m in messages %}{{ '<|' ~ 'im_start' ~ '|>' }}{{ [m.role, m.content | string | replace('\\n', ' ')] | join('\\n') }}{% for call in m.tool_calls or [] %}{{ '%s(%s)' % (call.function.name, call.function.arguments | string) }}{% endfor %}{{ ['<|im', 'end|>'] | join('_') }}{% endfor %}`,
  'with partitions': `{% for m in messages %}{% set text = m.content | string %}{% set parts = text.partition('<tool_call>') %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ parts[0].rstrip() }}{% if parts[1] %}<|tool|>{{ parts[2].removesuffix('</tool_call>') }}{% endif %}{{ text.rsplit('</s>', 1) | last }}<|eot_id|>{% endfor %}`,
  'with indented text': `{% for m in messages %}<|im_start|>{{ m.content | string | indent(2, true) | wordcount }}{{ m.content | string | indent(4) }}{{ (m.content | string).splitlines() | map('trim') | join('|') }}<|im_end|>{% endfor %}`,
};
