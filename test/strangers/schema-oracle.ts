// A validator of JSON schemas, written from the specification without regard to speed: the oracle of json-schemas.test.ts.

type Schema = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

const isDate = (text: string) => {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  const date = new Date(`${text}T00:00:00Z`);
  return match !== null && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
};
const isTime = (text: string) => {
  const match = /^(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-](\d\d):(\d\d))$/.exec(text);
  const [, hours, minutes, seconds, , , zoneHours = '0', zoneMinutes = '0'] = match ?? [];
  return match !== null && +hours! < 24 && +minutes! < 60 && +seconds! < 60 && +zoneHours < 24 && +zoneMinutes < 60;
};
const formats: Readonly<Record<string, (text: string) => boolean>> = {
  date: isDate,
  time: isTime,
  'date-time': (text) => isDate(text.split('T')[0] ?? '') && isTime(text.split('T')[1] ?? ''),
  uuid: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text),
  email: (text) => /^[^\s@.]+(\.[^\s@.]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(text),
  hostname: (text) =>
    text.length < 254 && text.split('.').every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label)),
  ipv4: (text) =>
    /^(\d{1,3}\.){3}\d{1,3}$/.test(text) && text.split('.').every((part) => +part < 256 && String(+part) === part),
  ipv6: (text) => text.split(':').length === 8 && text.split(':').every((part) => /^[0-9a-f]{1,4}$/.test(part)),
  uri: (text) => URL.canParse(text),
};

export function isValid(value: unknown, schema: unknown, root: unknown): boolean {
  if (typeof schema === 'boolean') return schema;
  const given = schema as Schema;
  const valid = (one: unknown, by: unknown) => isValid(one, by, root);
  const list = (key: string) => (given[key] ?? []) as readonly unknown[];
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const type = typeOf(value);
  if (given.type !== undefined) {
    const types = [given.type].flat();
    if (!types.includes(type) && !(types.includes('integer') && Number.isInteger(value))) return false;
  }
  if (given.enum !== undefined && !list('enum').some((one) => same(one, value))) return false;
  if (Object.hasOwn(given, 'const') && !same(given.const, value)) return false;
  if (given.allOf !== undefined && !list('allOf').every((one) => valid(value, one))) return false;
  if (given.anyOf !== undefined && !list('anyOf').some((one) => valid(value, one))) return false;
  if (given.oneOf !== undefined && list('oneOf').filter((one) => valid(value, one)).length !== 1) return false;
  if (given.not !== undefined && valid(value, given.not)) return false;
  if (typeof value === 'string') return isTextValid(value, given);
  if (typeof value === 'number') {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = given as Record<string, number>;
    if (value < (minimum ?? -Infinity) || value > (maximum ?? Infinity)) return false;
    return value > (exclusiveMinimum ?? -Infinity) && value < (exclusiveMaximum ?? Infinity);
  }
  if (Array.isArray(value)) {
    const { minItems = 0, maxItems = Infinity } = given as Record<string, number>;
    if (value.length < minItems || value.length > maxItems) return false;
    if (given.uniqueItems === true && new Set(value.map((one) => JSON.stringify(one))).size < value.length)
      return false;
    return value.every((one) => valid(one, given.items ?? true));
  }
  if (!isRecord(value)) return true;
  const { minProperties = 0, maxProperties = Infinity } = given as Record<string, number>;
  const names = Object.keys(value);
  if (names.length < minProperties || names.length > maxProperties) return false;
  if (!list('required').every((name) => Object.hasOwn(value, String(name)))) return false;
  return names.every((name) => isMemberValid(name, value[name], given, valid));
}

function isTextValid(value: string, { minLength = 0, maxLength = Infinity, pattern, format }: Schema): boolean {
  const length = [...value].length;
  if (length < (minLength as number) || length > (maxLength as number)) return false;
  if (pattern !== undefined && !new RegExp(String(pattern), 'u').test(value)) return false;
  return formats[String(format)]?.(value) ?? true;
}

function isMemberValid(
  name: string,
  member: unknown,
  { properties = {}, patternProperties = {}, additionalProperties = true }: Schema,
  valid: (value: unknown, schema: unknown) => boolean,
): boolean {
  const patterns = Object.entries(patternProperties as Schema).filter(([pattern]) =>
    new RegExp(pattern, 'u').test(name),
  );
  if (!patterns.every(([, one]) => valid(member, one))) return false;
  if (Object.hasOwn(properties as Schema, name)) return valid(member, (properties as Schema)[name]);
  return patterns.length > 0 || valid(member, additionalProperties);
}
