# Stand-in for docker.io/versity/versitygw: moto's S3 behind the same arguments, port, health page and bucket folders.
# It checks no signature and keeps objects in memory.
FROM localhost/callstitch-stand-in/python
COPY stand-ins.lock /
RUN pip install -q --no-cache-dir --require-hashes --no-deps --only-binary :all: -r /stand-ins.lock
COPY --chmod=755 s3-server /usr/local/bin/versitygw
COPY --chmod=755 wget /usr/local/bin/wget
EXPOSE 7070
ENTRYPOINT ["versitygw"]
