/**
 * Where what was fetched stays over a reload: IndexedDB, or this page's memory where the browser has none to give.
 *
 * What is here is other people's transcripts: it goes when it was saved, when another user comes, and after a day.
 */

const NAME = "glassbox-exports";
const DAY = 24 * 60 * 60 * 1000;

const answered = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const finished = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });

/** The store of one export of this user's. */
export async function openStore(key, owner, now = Date.now()) {
  try {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore("places", { keyPath: "key" });
      opening.result.createObjectStore("parts", { keyPath: ["key", "number"] });
    };
    const store = new KeptStore(await answered(opening), key, owner);
    await store.forgetOthers(now);
    return store;
  } catch {
    return new MemoryStore();
  }
}

class KeptStore {
  isKept = true;

  constructor(database, key, owner) {
    this._database = database;
    this._key = key;
    this._owner = owner;
  }

  _open(mode) {
    const transaction = this._database.transaction(["places", "parts"], mode);
    return { transaction, places: transaction.objectStore("places"), parts: transaction.objectStore("parts") };
  }

  async load() {
    return (await answered(this._open("readonly").places.get(this._key)))?.place;
  }

  async wasSaved() {
    return (await answered(this._open("readonly").places.get(this._key)))?.isSaved ?? false;
  }

  /** Nothing but that it was saved stays. */
  async markSaved() {
    await this.clear();
    const { transaction, places } = this._open("readwrite");
    places.put({ key: this._key, owner: this._owner, at: Date.now(), isSaved: true });
    await finished(transaction);
  }

  /** Part and place in one transaction: a page that dies in between has both or neither. */
  async add(number, blob, place) {
    const { transaction, places, parts } = this._open("readwrite");
    parts.put({ key: this._key, number, blob });
    places.put({ key: this._key, owner: this._owner, at: Date.now(), place });
    await finished(transaction);
  }

  async blobs() {
    const range = IDBKeyRange.bound([this._key, 0], [this._key, Infinity]);
    return (await answered(this._open("readonly").parts.getAll(range))).map((part) => part.blob);
  }

  async clear(key = this._key) {
    const { transaction, places, parts } = this._open("readwrite");
    places.delete(key);
    parts.delete(IDBKeyRange.bound([key, 0], [key, Infinity]));
    await finished(transaction);
  }

  async forgetOthers(now) {
    for (const kept of await answered(this._open("readonly").places.getAll())) {
      if (kept.owner !== this._owner || now - kept.at > DAY) await this.clear(kept.key);
    }
  }
}

class MemoryStore {
  isKept = false;
  _blobs = [];

  async load() {
    return undefined;
  }

  async add(number, blob) {
    this._blobs[number] = blob;
  }

  async blobs() {
    return this._blobs;
  }

  async wasSaved() {
    return false;
  }

  async markSaved() {
    this._blobs = [];
  }

  async clear() {
    this._blobs = [];
  }
}
