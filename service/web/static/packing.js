// Folders as one zip, made in the browser: stored, not compressed, for images do not shrink.

const CRC = new Uint32Array(256).map((_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

// Fields of a zip are little-endian numbers of two or four bytes.
function fields(...pairs) {
  const view = new DataView(new ArrayBuffer(pairs.reduce((sum, [size]) => sum + size, 0)));
  let place = 0;
  for (const [size, value] of pairs) {
    if (size === 2) view.setUint16(place, value, true);
    else view.setUint32(place, value, true);
    place += size;
  }
  return new Uint8Array(view.buffer);
}

const UTF8_NAMES = 0x0800;
const MOST_FILES = 0xffff;
const MOST_BYTES = 0xffffffff;
const FIRST_OF_JANUARY_1980 = 0x21;

// Whether they fit into a zip with numbers of four bytes: without Zip64 larger ones would wrap around.
export function fitInZip(files) {
  const sizes = files.map(({ path, file }) => file.size + 2 * new TextEncoder().encode(path).length + 30 + 46);
  return files.length <= MOST_FILES && sizes.reduce((sum, size) => sum + size, 22) <= MOST_BYTES;
}

// `files`: [{path, file}], which fit. `told(share)` is called with the share that is done. Gives a Blob.
export async function zipOf(files, told) {
  if (!fitInZip(files)) throw new RangeError("too much for a zip without Zip64");
  const bodies = [];
  const directory = [];
  let offset = 0;
  for (const [place, { path, file }] of files.entries()) {
    const name = new TextEncoder().encode(path);
    const crc = crc32(new Uint8Array(await file.arrayBuffer()));
    const described = [
      [2, 20], [2, UTF8_NAMES], [2, 0], [2, 0], [2, FIRST_OF_JANUARY_1980],
      [4, crc], [4, file.size], [4, file.size], [2, name.length], [2, 0],
    ];
    const head = fields([4, 0x04034b50], ...described);
    bodies.push(head, name, file);
    directory.push(fields([4, 0x02014b50], [2, 20], ...described, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), name);
    offset += head.length + name.length + file.size;
    told((place + 1) / files.length);
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = fields(
    [4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0],
  );
  return new Blob([...bodies, ...directory, end], { type: "application/zip" });
}
