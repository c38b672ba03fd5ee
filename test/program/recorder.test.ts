// What a recorder keeps of the steps that ops emit, and which it leaves out at the end.
import { describe, expect, test } from 'vitest';
import { Recorder, type Step } from '../../src/program/recorder.js';
import { TemporaryStorage } from '../../src/program/temporary-storage.js';
import { storageOf, type Tensor } from '../../src/tensor/tensor.js';

const newRecorder = () => {
  const options = { threads: 3, blockSizes: {}, products: {}, zero: {} };
  const recorder = new Recorder(options as never);
  expect(recorder).toMatchObject(options);
  return recorder;
};
const step = { kernel: 'add', tiles: 2, flops: 6 };

test('temporaries are its own, of f32 unless it is said', () => {
  const [recorder, other] = [newRecorder(), newRecorder()];
  const a = recorder.temporary([2, 3]);
  const b = recorder.temporary([5], 'f16');
  expect([a.dtype, storageOf(a).sizeBytes, b.dtype, storageOf(b).sizeBytes]).toEqual(['f32', 24, 'f16', 10]);
  expect([...recorder.temporaries]).toEqual([storageOf(a), storageOf(b)]);
  expect([recorder.owns(a), recorder.owns(b), other.owns(a)]).toEqual([true, true, false]);
});

test('a step has what it was given, without operands that are left out; one without tiles is none', () => {
  const recorder = newRecorder();
  const [a, b] = [recorder.temporary([1]), recorder.temporary([1])];
  const write = () => expect.unreachable();
  recorder.emit({ ...step, tiles: 0, reads: [a], writes: [b] }, write);
  expect(recorder.steps).toEqual([]);
  recorder.emit({ ...step, by: 'workers', quantizes: true, reads: [undefined, a], writes: [b] }, (params) =>
    params.int(7),
  );
  expect(recorder.steps).toEqual([{ ...step, by: 'workers', quantizes: true, reads: [a], writes: [b], params: [7] }]);
});

test('a second output takes the place of the last parameter', () => {
  const recorder = newRecorder();
  const [a, b, c] = [recorder.temporary([1]), recorder.temporary([1]), recorder.temporary([1])];
  recorder.emit({ ...step, reads: [a], writes: [b] }, (params) => params.int(7).int(8).pointer(undefined));
  recorder.addOutput(c);
  expect(recorder.steps).toHaveLength(1);
  expect(recorder.steps[0]).toMatchObject({
    ...step,
    reads: [a],
    writes: [b, c],
    params: [7, 8, { kind: 'pointer', storage: storageOf(c), byteOffset: 0 }],
  });
});

describe('a step that is left out if it is unread', () => {
  function arranged() {
    const recorder = newRecorder();
    const [a, b, c] = [recorder.temporary([1]), recorder.temporary([1]), recorder.temporary([1])];
    const emit = (reads: Tensor[], writes: Tensor[]) => {
      recorder.emit({ ...step, reads, writes }, () => {});
      return recorder.steps.at(-1) as Step;
    };
    return { recorder, a, b, c, emit };
  }

  test('is dropped where nothing reads what it writes, and no other one is', () => {
    const { recorder, a, b, c, emit } = arranged();
    const dropped = emit([a], [b]);
    const kept = emit([a], [c]);
    recorder.dropUnread();
    expect(recorder.steps).toEqual([dropped, kept]);
    recorder.leaveOutIfUnread(dropped);
    recorder.dropUnread();
    expect(recorder.steps).toEqual([kept]);
    expect(recorder.steps[0]).toBe(kept);
  });

  test('stays where one of its results is read, or has memory of its own', () => {
    const { recorder, a, b, c, emit } = arranged();
    const read = emit([a], [b, c]);
    emit([c], [a]);
    recorder.leaveOutIfUnread(read);
    recorder.dropUnread();
    expect(recorder.steps[0]).toBe(read);
    const { recorder: other, a: input, b: output, emit: emitOther } = arranged();
    const made = emitOther([input], [output]);
    (storageOf(output) as TemporaryStorage).back({
      ...new TemporaryStorage(4),
      buffer: new SharedArrayBuffer(4),
    } as never);
    other.leaveOutIfUnread(made);
    other.dropUnread();
    expect(other.steps).toEqual([made]);
  });
});
