// The official Node client, unmodified, against the gateway at argv[2]; argv[3] is a finished video.
import assert from 'node:assert/strict';
import OpenAI, { toFile } from 'openai';

const [url, finished] = process.argv.slice(2);
const client = new OpenAI({ apiKey: 'sk-test', baseURL: `${url}/v1` });
const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(50)]);

const made = await client.videos.create({ prompt: 'a red circle', seconds: '1', seed: 7 });
assert.deepEqual([made.object, made.status, made.seconds, made.seed], ['video', 'queued', '1', 7]);

const file = await toFile(png, 'a.png');
const shown = await client.videos.create({ prompt: 'a red circle', input_reference: file });
const inline = `data:image/png;base64,${png.toString('base64')}`;
await client.videos.create({ prompt: 'a red circle', input_reference: { image_url: inline } });

const listed = [];
for await (const video of client.videos.list({ limit: 2, order: 'asc' })) listed.push(video.id);
assert.equal(listed.length, 4);
assert.deepEqual(listed.slice(0, 3), [finished, made.id, shown.id]);

assert.equal((await client.videos.retrieve(finished)).status, 'completed');
const content = await client.videos.downloadContent(finished, { variant: 'thumbnail' });
assert.equal(await content.text(), 'thumbnail');

const remix = await client.videos.remix(finished, { prompt: 'a blue one' });
assert.equal(remix.remixed_from_video_id, finished);
const edit = await client.videos.edit({ prompt: 'bluer', video: { id: finished } });
assert.equal(edit.remixed_from_video_id, finished);
const longer = await client.videos.extend({ prompt: 'on', seconds: '0.5', video: { id: finished } });
assert.equal(longer.num_frames, 41);

await client.post(`/videos/${made.id}/cancel`);
assert.equal((await client.videos.delete(made.id)).object, 'video.deleted');
await assert.rejects(client.videos.retrieve(made.id), (error) => {
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.deepEqual([error.code, error.param], ['not_found', 'video_id']);
  assert.match(error.requestID, /^req_/);
  return true;
});
await assert.rejects(client.videos.create({ prompt: 'x', size: '8x8' }), OpenAI.BadRequestError);
console.log('ok');
